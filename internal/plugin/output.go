package plugin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/yaml"

	"github.com/runtag/runtag/api/v1alpha1"
)

// output is the flag -o: how results are shown. Empty is for people.
type output struct {
	format string
	known  []string
}

// add adds the flag with these formats.
func (o *output) add(cmd *cobra.Command, formats ...string) {
	o.known = formats
	cmd.Flags().StringVarP(&o.format, "output", "o", "", "Output format: "+strings.Join(formats, ", ")+".")
	complete(cmd, "output", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return formats, cobra.ShellCompDirectiveNoFileComp
	})
}

func (o *output) check() error {
	if o.format != "" && !slices.Contains(o.known, o.format) {
		return usagef("there is no output format %q: take one of %s", o.format, strings.Join(o.known, ", "))
	}
	return nil
}

// objects says whether objects are shown, for programs, and nothing else.
func (o *output) objects() bool {
	return o.format == "json" || o.format == "yaml" || o.format == "name"
}

// print shows objects as kubectl does: several as one list, but names one a line.
func (o *output) print(s *session, objects []client.Object, single bool) error {
	for _, object := range objects {
		object.SetManagedFields(nil)
		gvk, err := apiutil.GVKForObject(object, s.client.Scheme())
		if err != nil {
			return fmt.Errorf("print %s: %w", object.GetName(), err)
		}
		object.GetObjectKind().SetGroupVersionKind(gvk)
	}
	printer := o.printer()
	if o.format == "name" || single && len(objects) == 1 {
		for _, object := range objects {
			if err := printer.PrintObj(object, s.Out); err != nil {
				return fmt.Errorf("print %s: %w", object.GetName(), err)
			}
		}
		return nil
	}
	list := &v1alpha1.TrainingRunList{Items: []v1alpha1.TrainingRun{}}
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("TrainingRunList"))
	for _, object := range objects {
		if run, ok := object.(*v1alpha1.TrainingRun); ok {
			list.Items = append(list.Items, *run)
		}
	}
	if err := printer.PrintObj(list, s.Out); err != nil {
		return fmt.Errorf("print the runs: %w", err)
	}
	return nil
}

func (o *output) printer() printers.ResourcePrinter {
	switch o.format {
	case "json":
		return &printers.JSONPrinter{}
	case "yaml":
		return &printers.YAMLPrinter{}
	}
	return &printers.NamePrinter{}
}

// data shows what is no object, as JSON or YAML.
func (o *output) data(to io.Writer, v any) error {
	text, err := json.MarshalIndent(v, "", "    ")
	if err == nil && o.format == "yaml" {
		text, err = yaml.Marshal(v)
	}
	if err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return say(to, "%s", bytes.TrimRight(text, "\n"))
}

// asObjects is for print.
func asObjects(runs []v1alpha1.TrainingRun) []client.Object {
	objects := make([]client.Object, 0, len(runs))
	for i := range runs {
		objects = append(objects, &runs[i])
	}
	return objects
}
