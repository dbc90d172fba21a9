// strict-parse reads exposition pages with Prometheus' own parser, the one of its scrape loop, and says what it found.
//
//	strict-parse < pages
//
// A line of JSON in, {"contentType": "...", "page": "..."}, a line of JSON out: {"series": N, "samples": [...], ...},
// with an "error" when Prometheus would refuse the page. A sample is its series, time in ms and value.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

type found struct {
	Series     int            `json:"series"`
	Distinct   int            `json:"distinct"`
	Families   map[string]int `json:"families"`
	Duplicates []string       `json:"duplicates,omitempty"`
	Samples    []string       `json:"samples,omitempty"`
	Error      string         `json:"error,omitempty"`
}

func read(page []byte, contentType string) (found, error) {
	out := found{Families: map[string]int{}}
	symbols := labels.NewSymbolTable()
	parser, err := textparse.New(page, contentType, symbols, textparse.ParserOptions{})
	if err != nil {
		return out, err
	}
	seen := map[string]bool{}
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) {
			out.Distinct = len(seen)
			return out, nil
		}
		if err != nil {
			return out, err
		}
		switch entry {
		case textparse.EntryType:
			name, kind := parser.Type()
			key := string(name) + " " + string(kind)
			out.Families[key]++
			if out.Families[key] > 1 {
				return out, fmt.Errorf("second TYPE of %s", name)
			}
		case textparse.EntrySeries:
			var metric labels.Labels
			parser.Labels(&metric)
			_, at, value := parser.Series()
			if duplicate, yes := metric.HasDuplicateLabelNames(); yes {
				return out, fmt.Errorf("label name %q is not unique", duplicate)
			}
			key := metric.String()
			if at != nil {
				key += fmt.Sprint(" @", *at)
			}
			if seen[key] && len(out.Duplicates) < 10 {
				out.Duplicates = append(out.Duplicates, key)
			}
			seen[key] = true
			out.Samples = append(out.Samples, fmt.Sprint(key, " ", value))
			out.Series++
		}
	}
}

type asked struct {
	ContentType string `json:"contentType"`
	Page        string `json:"page"`
}

func main() {
	in := json.NewDecoder(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	for {
		var one asked
		if err := in.Decode(&one); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		answer, err := read([]byte(one.Page), one.ContentType)
		if err != nil {
			answer.Error = err.Error()
		}
		if err := out.Encode(answer); err != nil {
			os.Exit(1)
		}
	}
}
