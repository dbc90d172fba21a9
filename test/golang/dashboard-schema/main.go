// dashboard-schema judges Grafana dashboards by Grafana's own schemas, from which its SDK is generated.
//
//	dashboard-schema < dashboards
//
// A dashboard in JSON in, a line of JSON out: {"faults": [...]}, each with its place; empty when there is none.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sort"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

//go:generate go run generate.go

const module = "github.com/grafana/grafana-foundation-sdk/go"

// Only what our dashboard uses, since all of them more than double the time of the build. A panel of another type is a
// fault that says so (values.go), not one that nobody judges.
func register() {
	known := cog.NewRuntime()
	known.RegisterPanelcfgVariant(stat.VariantConfig())
	known.RegisterPanelcfgVariant(table.VariantConfig())
	known.RegisterPanelcfgVariant(timeseries.VariantConfig())
	known.RegisterDataqueryVariant(prometheus.VariantConfig())
}

// faultsOf spreads an error of the SDK. Its strict decoders return an error that holds none when all is well.
func faultsOf(at string, err error) []string {
	var several cog.BuildErrors
	if err == nil {
		return nil
	}
	if !errors.As(err, &several) {
		return []string{at + err.Error()}
	}
	faults := []string{}
	for _, one := range several {
		faults = append(faults, at+one.Error())
	}
	return faults
}

// shape finds unknown and missing fields and wrong types.
func shape(raw []byte) []string {
	var strict dashboard.Dashboard
	return append(faultsOf("", strict.UnmarshalJSONStrict(raw)), fieldConfigs("", raw)...)
}

// fieldConfigs does what the strict decoder of a panel leaves out: it reads fieldConfig loosely. In rows as well.
func fieldConfigs(at string, raw []byte) []string {
	var holder struct {
		Panels []json.RawMessage `json:"panels"`
		Config json.RawMessage   `json:"fieldConfig"`
	}
	if err := json.Unmarshal(raw, &holder); err != nil {
		return nil // The strict decoder has said it.
	}
	var strict dashboard.FieldConfigSource
	faults := faultsOf(at+"fieldConfig.", strict.UnmarshalJSONStrict(holder.Config))
	for index, panel := range holder.Panels {
		faults = append(faults, fieldConfigs(fmt.Sprintf("%spanels[%d].", at, index), panel)...)
	}
	return faults
}

// judge decodes a second time, since the strict decoder drops the panels that it found right; values need them.
func judge(raw []byte) []string {
	if faults := shape(raw); len(faults) > 0 {
		sort.Strings(faults)
		return faults
	}
	var loose dashboard.Dashboard
	if err := json.Unmarshal(raw, &loose); err != nil {
		return []string{err.Error()}
	}
	return append(faultsOf("", loose.Validate()), values(&loose)...)
}

// sameVersion holds the SDK and the lists of enumerations.go together, which a change of go.mod would part.
func sameVersion() error {
	info, _ := debug.ReadBuildInfo()
	for _, one := range info.Deps {
		if one.Path == module && one.Version == enumerationsOf {
			return nil
		}
	}
	return fmt.Errorf("enumerations.go is of another SDK (%s): run go generate", enumerationsOf)
}

type verdict struct {
	Faults []string `json:"faults"`
}

func answer(in *json.Decoder, out *json.Encoder) error {
	for {
		var raw json.RawMessage
		if err := in.Decode(&raw); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := out.Encode(verdict{Faults: append([]string{}, judge(raw)...)}); err != nil {
			return err
		}
	}
}

func main() {
	register()
	err := sameVersion()
	if err == nil {
		err = answer(json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
