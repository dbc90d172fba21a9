package main

import (
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// values looks at each value of a decoded dashboard for what the SDK does not: it takes any text or number for an
// enumeration, and reads the options of a panel that it doesn't know as free JSON.
func values(of *dashboard.Dashboard) []string {
	return look("dashboard", reflect.ValueOf(of))
}

func look(at string, value reflect.Value) []string {
	switch value.Kind() {
	case reflect.Pointer, reflect.Interface:
		if value.IsNil() {
			return nil
		}
		return look(at, value.Elem())
	case reflect.Slice:
		faults := []string{}
		for index := range value.Len() {
			faults = append(faults, look(fmt.Sprintf("%s[%d]", at, index), value.Index(index))...)
		}
		return faults
	case reflect.Struct:
		return lookInto(at, value)
	default:
		return enumeration(at, value)
	}
}

func lookInto(at string, value reflect.Value) []string {
	faults := []string{}
	if panel, yes := value.Interface().(dashboard.Panel); yes {
		faults = unjudged(at, panel)
	}
	for index := range value.NumField() {
		name, _, _ := strings.Cut(value.Type().Field(index).Tag.Get("json"), ",")
		faults = append(faults, look(at+"."+name, value.Field(index))...)
	}
	return faults
}

// unjudged names the parts of a panel for which register() has no schema.
func unjudged(at string, panel dashboard.Panel) []string {
	faults := []string{}
	if _, found := cog.ConfigForPanelcfgVariant(panel.Type); !found {
		faults = append(faults, fmt.Sprintf("%s.type: no schema here for a panel %q", at, panel.Type))
	}
	if _, free := custom(panel).(map[string]any); free {
		faults = append(faults, fmt.Sprintf("%s.fieldConfig.defaults.custom: a panel %q has none", at, panel.Type))
	}
	for index, target := range panel.Targets {
		if _, yes := target.(variants.UnknownDataquery); yes {
			faults = append(faults, fmt.Sprintf("%s.targets[%d]: no schema here for its data source", at, index))
		}
	}
	return faults
}

func custom(panel dashboard.Panel) any {
	if panel.FieldConfig == nil {
		return nil
	}
	return panel.FieldConfig.Defaults.Custom
}

func enumeration(at string, value reflect.Value) []string {
	allowed, yes := enumerations[path.Base(value.Type().PkgPath())+"."+value.Type().Name()]
	if said := fmt.Sprint(value.Interface()); yes && !slices.Contains(allowed, said) {
		return []string{fmt.Sprintf("%s: %q is not one of %q", at, said, allowed)}
	}
	return nil
}
