package plugin

import (
	"bytes"
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/runtag/runtag/internal/plugin/manifest"
)

// exporting is the command export.
type exporting struct {
	selection
	output
	*session
}

func newExport(f *Frame) *cobra.Command {
	var e exporting
	cmd := &cobra.Command{
		Use:   "export [RUN...]",
		Short: "Write TrainingRuns as clean manifests for Git",
		Long: `Write TrainingRuns, imported or made by hand, as manifests to keep in Git:
without status, managed fields, defaults and the labels that the operator
writes. Tags that people declared by label or annotation become spec.tags.
Tags that rules give, or that are only on the tracker, are not in it.

Applying such a manifest makes an imported object a person's own: it stays. A
label that declares a tag as well goes on declaring it until it is taken off.`,
		Example: `  kubectl runtag export capsules-3f9a1c >runs/capsules-3f9a1c.yaml
  kubectl runtag export --with-tag in_production
  kubectl runtag export -l tracking.runtag.dev/imported --state finished`,
		ValidArgsFunction: f.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := e.output.check(); err != nil {
				return err
			}
			if err := e.selection.check(); err != nil {
				return err
			}
			var err error
			if e.session, err = f.connect(); err != nil {
				return err
			}
			return e.run(cmd.Context(), args)
		},
	}
	e.selection.add(f, cmd, true)
	e.output.add(cmd, "yaml", "json")
	return cmd
}

func (e *exporting) run(ctx context.Context, names []string) error {
	runs, err := e.named(ctx, e.session, names)
	if err != nil {
		return err
	}
	if len(runs) == 0 {
		return say(e.ErrOut, "no runs match")
	}
	clean := make([]any, 0, len(runs))
	for i := range runs {
		r, err := e.planned(ctx, &runs[i])
		if err != nil {
			return err
		}
		object, err := manifest.Clean(r)
		if err != nil {
			if err := say(e.ErrOut, "%s", err); err != nil {
				return err
			}
			continue
		}
		clean = append(clean, object)
	}
	if err := e.write(clean); err != nil {
		return err
	}
	switch len(clean) {
	case len(runs):
		return nil
	case 0:
		return errNothing
	}
	return errPartly
}

func (e *exporting) write(clean []any) error {
	switch {
	case len(clean) == 0:
		return nil
	case e.format == "json" && len(clean) == 1:
		return e.data(e.Out, clean[0])
	case e.format == "json":
		return e.data(e.Out, map[string]any{"apiVersion": "v1", "kind": "List", "items": clean})
	}
	for i, object := range clean {
		text, err := yaml.Marshal(object)
		if err != nil {
			return fmt.Errorf("write a manifest: %w", err)
		}
		if i > 0 {
			text = append([]byte("---\n"), text...)
		}
		if err := say(e.Out, "%s", bytes.TrimRight(text, "\n")); err != nil {
			return err
		}
	}
	return nil
}
