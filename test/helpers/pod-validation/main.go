// Says what the API server would say about pods: strict decoding, defaults, and its own validation of a new pod.
// In: a JSON list of pods. Out: a JSON list with a list of objections for each.
package main

import (
	"encoding/json"
	"os"

	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	api "k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	"k8s.io/kubernetes/pkg/apis/core/validation"
)

func main() {
	var pods []json.RawMessage
	if err := json.NewDecoder(os.Stdin).Decode(&pods); err != nil {
		panic(err)
	}
	decoder := serializer.NewCodecFactory(legacyscheme.Scheme, serializer.EnableStrict).UniversalDecoder()
	answers := make([][]string, len(pods))
	for index, text := range pods {
		answers[index] = []string{}
		object, _, err := decoder.Decode(text, nil, nil)
		if err != nil {
			answers[index] = append(answers[index], err.Error())
			continue
		}
		for _, objection := range validation.ValidatePodCreate(object.(*api.Pod), validation.PodValidationOptions{}) {
			answers[index] = append(answers[index], objection.Error())
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		panic(err)
	}
}
