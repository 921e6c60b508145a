package plugin

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/plugin/terminal"
)

// counting is the command tags.
type counting struct {
	output
	*session
	all, allNamespaces bool
	maxRuns            int32
}

// tagCount is one tag, as -o json and yaml show it.
type tagCount struct {
	Name string `json:"name"`
	// Runs that carry it.
	Runs int `json:"runs"`
	// Mirrored is how many of them have a TrainingRun, with --all.
	Mirrored *int `json:"mirrored,omitempty"`
	// Sources says how many TrainingRuns have it from where.
	Sources map[v1alpha1.TagSource]int `json:"sources,omitempty"`
}

func newTags(f *Frame) *cobra.Command {
	var c counting
	cmd := &cobra.Command{
		Use:   "tags [PROJECT]",
		Short: "Count a project's tags, the most used first",
		Long: `Count the tags on the runs that Kubernetes mirrors, of a project or of the
whole namespace, the most used first, and say where they come from: spec,
label (or annotation), rule; run is what somebody set on the tracker.

With --all the tags on all of the project's runs on the tracker are counted,
mirrored or not.`,
		Example: `  kubectl runtag tags
  kubectl runtag tags capsules
  kubectl runtag tags capsules --all`,
		Args:              atMost(1, "PROJECT"),
		ValidArgsFunction: f.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.check(); err != nil {
				return err
			}
			var err error
			if c.session, err = f.connect(); err != nil {
				return err
			}
			return c.run(cmd.Context(), strings.Join(args, ""))
		},
	}
	c.output.add(cmd, "json", "yaml", "name")
	flags := cmd.Flags()
	flags.BoolVar(&c.all, "all", false, "Count over all runs of the project on the tracker.")
	flags.BoolVarP(&c.allNamespaces, "all-namespaces", "A", false, "Count over the TrainingRuns of all namespaces.")
	flags.Int32Var(&c.maxRuns, "max-runs", 10000, "With --all: refuse to list more runs.")
	return cmd
}

func (c *counting) run(ctx context.Context, project string) error {
	if c.all && (project == "" || c.allNamespaces) {
		return usagef("--all is for one project of one namespace: name it")
	}
	sel := selection{allNamespaces: c.allNamespaces}
	if project != "" {
		sel.fields = "spec.projectRef.name=" + escapeField(project)
		if !c.allNamespaces {
			if err := c.needProject(ctx, project); err != nil {
				return err
			}
		}
	}
	runs, err := c.list(ctx, &sel)
	if err != nil {
		return err
	}
	counts := countTags(runs)
	if c.all {
		if counts, err = c.overTracker(ctx, project, runs, counts); err != nil {
			return err
		}
	}
	return c.show(counts)
}

// countTags counts the tags that are on the runs of TrainingRuns.
func countTags(runs []v1alpha1.TrainingRun) map[string]*tagCount {
	counts := map[string]*tagCount{}
	for _, run := range runs {
		for _, t := range run.Status.Tags {
			if !t.Present {
				continue
			}
			n := counts[t.Name]
			if n == nil {
				n = &tagCount{Name: t.Name, Sources: map[v1alpha1.TagSource]int{}}
				counts[t.Name] = n
			}
			n.Runs++
			n.Sources[t.Source]++
		}
	}
	return counts
}

// overTracker counts over the tracker's runs, and keeps of the TrainingRuns' counts the sources.
func (c *counting) overTracker(ctx context.Context, project string, runs []v1alpha1.TrainingRun, mirrored map[string]*tagCount) (map[string]*tagCount, error) {
	found, err := c.query(ctx, project, &v1alpha1.RunSelection{All: true}, c.maxRuns)
	if err != nil {
		return nil, err
	}
	has := map[string]bool{}
	for i := range runs {
		has[runID(&runs[i])] = true
	}
	counts := map[string]*tagCount{}
	for _, m := range found {
		for _, name := range m.Tags {
			n := counts[name]
			if n == nil {
				n = &tagCount{Name: name, Mirrored: new(int)}
				if known := mirrored[name]; known != nil {
					n.Sources = known.Sources
				}
				counts[name] = n
			}
			n.Runs++
			if has[m.ID] {
				*n.Mirrored++
			}
		}
	}
	return counts, nil
}

func (c *counting) show(counts map[string]*tagCount) error {
	sorted := make([]tagCount, 0, len(counts))
	for _, n := range counts {
		sorted = append(sorted, *n)
	}
	slices.SortFunc(sorted, func(a, b tagCount) int { return cmp.Or(b.Runs-a.Runs, strings.Compare(a.Name, b.Name)) })
	switch c.format {
	case "json", "yaml":
		return c.data(c.Out, sorted)
	case "name":
		for _, n := range sorted {
			if err := say(c.Out, "%s", n.Name); err != nil {
				return err
			}
		}
		return nil
	}
	if len(sorted) == 0 {
		return say(c.ErrOut, "no tags found")
	}
	t := &terminal.Table{Columns: []terminal.Column{{Title: "TAG", Min: 12}, {Title: "RUNS"}}}
	if c.all {
		t.Columns = append(t.Columns, terminal.Column{Title: "MIRRORED"})
	}
	t.Columns = append(t.Columns, terminal.Column{Title: "SOURCES", Min: 10})
	for _, n := range sorted {
		row := []terminal.Cell{{Text: n.Name}, {Text: strconv.Itoa(n.Runs)}}
		if c.all {
			row = append(row, terminal.Cell{Text: strconv.Itoa(*n.Mirrored)})
		}
		t.Rows = append(t.Rows, append(row, terminal.Cell{Text: sources(n.Sources), Style: terminal.Dim}))
	}
	return t.Write(c.terminal())
}
