package v1alpha1_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// walk calls visit for every schema below s, with its path.
func walk(path string, s apiextensionsv1.JSONSchemaProps, visit func(string, apiextensionsv1.JSONSchemaProps)) {
	visit(path, s)
	for name, property := range s.Properties {
		walk(path+"."+name, property, visit)
	}
	if s.Items != nil && s.Items.Schema != nil {
		walk(path+"[]", *s.Items.Schema, visit)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		walk(path+"{}", *s.AdditionalProperties.Schema, visit)
	}
}

// visitCRDs calls visit for spec and status of every CRD and all that is below them.
func visitCRDs(t *testing.T, visit func(string, apiextensionsv1.JSONSchemaProps)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(crdFolder, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no CRDs in %s: %v", crdFolder, err)
	}
	for _, file := range files {
		manifest, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(manifest, &crd); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, version := range crd.Spec.Versions {
			root := version.Schema.OpenAPIV3Schema
			for _, part := range []string{"spec", "status"} {
				walk(crd.Spec.Names.Kind+"."+part, root.Properties[part], visit)
			}
		}
	}
}

func TestEveryFieldIsDocumented(t *testing.T) {
	visitCRDs(t, func(path string, s apiextensionsv1.JSONSchemaProps) {
		for name, property := range s.Properties {
			if len(property.Description) < 10 {
				t.Errorf("%s.%s has the description %q, want a sentence for kubectl explain", path, name, property.Description)
			}
		}
	})
}

// ofSelector says that the path leads into a label selector. Its schema is Kubernetes' own and has no bounds; those that
// matter are in rules beside it.
func ofSelector(path string) bool { return strings.Contains(path, "Selector.match") }

func TestEverythingIsBounded(t *testing.T) {
	seen := 0
	visitCRDs(t, func(path string, s apiextensionsv1.JSONSchemaProps) {
		seen++
		switch {
		case ofSelector(path):
		case s.Type == "string" && s.MaxLength == nil && len(s.Enum) == 0 && s.Format != "date-time":
			t.Errorf("%s is a string of any length", path)
		case s.Type == "array" && s.MaxItems == nil:
			t.Errorf("%s is a list of any length", path)
		case s.AdditionalProperties != nil && s.MaxProperties == nil:
			t.Errorf("%s is a map of any size", path)
		case s.Type == "" || s.XPreserveUnknownFields != nil:
			t.Errorf("%s takes anything", path)
		}
	})
	if seen < 100 {
		t.Errorf("saw %d schemas, want all of the API's", seen)
	}
}

func TestEveryListSaysHowAppliersShareIt(t *testing.T) {
	visitCRDs(t, func(path string, s apiextensionsv1.JSONSchemaProps) {
		if s.Type == "array" && s.XListType == nil {
			t.Errorf("%s has no list type, so the last applier takes all of it", path)
		}
		if s.XListType != nil && *s.XListType == "map" && len(s.XListMapKeys) == 0 {
			t.Errorf("%s is a map without keys", path)
		}
	})
}

func TestEveryRuleHasASentence(t *testing.T) {
	visitCRDs(t, func(path string, s apiextensionsv1.JSONSchemaProps) {
		for _, rule := range s.XValidations {
			if rule.Message == "" && rule.MessageExpression == "" {
				t.Errorf("%s: the rule %s has no message", path, rule.Rule)
			}
		}
	})
}
