package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/plugin/edit"
	"github.com/runtag/runtag/internal/plugin/terminal"
	"github.com/runtag/runtag/internal/tags"
)

// atOnce is how many runs are edited at the same time.
const atOnce = 8

// defaultTimeout is how long --wait waits for runs.
const defaultTimeout = time.Minute

// patient is how often, and after which waits, a run is edited again that somebody else writes at the same time.
var patient = wait.Backoff{Steps: 8, Duration: 10 * time.Millisecond, Factor: 2, Jitter: 0.1}

// changing are the flags of the commands that change tags.
type changing struct {
	selection
	output
	project string
	yes     bool
	maxRuns int32
	wait    bool
	timeout time.Duration
	dryRun  string
}

func (c *changing) addFlags(f *Frame, cmd *cobra.Command) {
	c.selection.add(f, cmd, true)
	c.output.add(cmd, "name", "json", "yaml")
	flags := cmd.Flags()
	flags.StringVar(&c.project, "project", "", "Change the runs of this TrackingProject on the tracker, imported or not, by a TagChange.")
	c.addTracker(cmd, "How long --wait waits: 1m if not given. With --project it is as long as it takes.")
	flags.Int32Var(&c.maxRuns, "max-runs", 1000, "With --project: change nothing if more runs match.")
	flags.BoolVar(&c.wait, "wait", false, "Wait until the tags are on the tracker, or off it. With --project that is always waited for.")
	complete(cmd, "project", f.completeProjects)
}

// addTracker adds the flags of what is done by a TagChange.
func (c *changing) addTracker(cmd *cobra.Command, timeout string) {
	flags := cmd.Flags()
	flags.BoolVarP(&c.yes, "yes", "y", false, "Don't ask before the tracker's runs are changed.")
	flags.DurationVar(&c.timeout, "timeout", 0, timeout)
	flags.StringVar(&c.dryRun, "dry-run", "none", "none; client shows what would be sent; server, or no value, has it checked, a TagChange counted, and keeps nothing.")
	flags.Lookup("dry-run").NoOptDefVal = "server"
	complete(cmd, "dry-run", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"none", "client", "server"}, cobra.ShellCompDirectiveNoFileComp
	})
}

func (c *changing) check() error {
	if !slices.Contains([]string{"none", "client", "server"}, c.dryRun) {
		return usagef("--dry-run is none, client or server, not %q", c.dryRun)
	}
	return errors.Join(c.output.check(), c.selection.check())
}

// editing is a change of many runs by their TrainingRuns.
type editing struct {
	*session
	*changing
	edit func(edit.Run) edit.Result
}

// edited is what became of one run.
type edited struct {
	run    *v1alpha1.TrainingRun
	result edit.Result
	err    error
	// answered is the hash of the declarations that the status answered when the run was edited.
	answered string
}

// declare edits runs and says of each, in their order, what was done.
func (e editing) declare(ctx context.Context, runs []v1alpha1.TrainingRun) error {
	if len(runs) == 0 {
		return say(e.ErrOut, "no runs match")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // what is left is not done, once the first refusal ends the command
	results := make([]chan edited, len(runs))
	for i := range results {
		results[i] = make(chan edited, 1)
	}
	for i := range runs { // projects are read here, once each
		if _, err := e.session.project(ctx, runs[i].Namespace, runs[i].Spec.ProjectRef.Name); err != nil {
			return err
		}
	}
	work := make(chan int)
	for range min(atOnce, len(runs)) {
		go func() {
			for i := range work {
				results[i] <- e.one(ctx, &runs[i])
			}
		}()
	}
	go func() {
		defer close(work)
		for i := range runs {
			work <- i
		}
	}()
	return e.report(ctx, results)
}

// report says what became of each run, as soon as it is known, and waits for the tracker where that is asked for.
func (e editing) report(ctx context.Context, results []chan edited) error {
	bar := terminal.NewBar(e.errTerminal(), "runs", len(results))
	defer bar.Clear()
	var done []edited
	failed, refused := 0, 0
	for _, result := range results {
		r := <-result
		switch {
		case r.err != nil && ctx.Err() != nil:
			return ctx.Err()
		case apierrors.IsForbidden(r.err): // so it is for all
			return r.err
		}
		var err error
		bar.Above(func() { err = e.tell(r) })
		if err != nil {
			return err
		}
		bar.Step()
		switch {
		case r.err != nil:
			failed++
			continue
		case r.result.Refused():
			refused++
		}
		done = append(done, r)
	}
	bar.Clear()
	if err := e.show(done); err != nil {
		return err
	}
	if e.wait && e.dryRun == "none" {
		if err := e.waitFor(ctx, done); err != nil {
			return err
		}
	}
	return verdict(done, failed, refused)
}

// verdict tells all from some and none.
func verdict(done []edited, failed, refused int) error {
	if failed+refused == 0 {
		return nil
	}
	for _, r := range done {
		for _, note := range r.result.Notes {
			if note.Outcome != edit.Refused {
				return errPartly
			}
		}
	}
	return errNothing
}

// show prints the objects, where that is asked for.
func (e editing) show(done []edited) error {
	if !e.objects() {
		return nil
	}
	runs := make([]v1alpha1.TrainingRun, 0, len(done))
	for _, r := range done {
		runs = append(runs, *r.run)
	}
	return e.output.print(e.session, asObjects(runs), len(runs) == 1)
}

// tell says in a line what became of a run: what was done to the output, what was not to the errors.
func (e editing) tell(r edited) error {
	name := r.run.Name
	if e.allNamespaces {
		name = r.run.Namespace + "/" + name
	}
	t, errs := e.terminal(), e.errTerminal()
	if r.err != nil {
		return say(errs, "%s: %s", name, errs.Paint(terminal.Red, r.err.Error()))
	}
	var done, refused []string
	for _, note := range r.result.Notes {
		text := terminal.Clean(note.Text)
		switch note.Outcome {
		case edit.Refused:
			refused = append(refused, text)
		case edit.Unchanged:
			done = append(done, t.Paint(terminal.Dim, text))
		default:
			done = append(done, text)
		}
	}
	if len(done) > 0 && !e.objects() {
		dry := map[string]string{"client": " (dry run)", "server": " (server dry run)"}[e.dryRun]
		if err := say(t, "%s: %s%s", name, strings.Join(done, "; "), dry); err != nil {
			return err
		}
	}
	if len(refused) > 0 {
		return say(errs, "%s: %s", name, errs.Paint(terminal.Yellow, strings.Join(refused, "; ")))
	}
	return nil
}

// one edits one run. Whoever changed it meanwhile is heeded: it is read and edited again.
func (e editing) one(ctx context.Context, run *v1alpha1.TrainingRun) edited {
	r := edited{run: run}
	r.err = retry.RetryOnConflict(patient, func() error {
		err := e.try(ctx, &r)
		if !apierrors.IsConflict(err) {
			return err
		}
		if failed := e.client.Get(ctx, client.ObjectKeyFromObject(run), run); failed != nil {
			return fmt.Errorf("read TrainingRun %s/%s again: %w", run.Namespace, run.Name, failed)
		}
		return err
	})
	return r
}

func (e editing) try(ctx context.Context, r *edited) error {
	p := e.projects[client.ObjectKey{Namespace: r.run.Namespace, Name: r.run.Spec.ProjectRef.Name}]
	r.result = e.edit(p.editable(r.run))
	if r.result.Patch == nil || e.dryRun == "client" {
		return nil
	}
	body := maps.Clone(r.result.Patch)
	metadata := map[string]any{"resourceVersion": r.run.ResourceVersion, "uid": r.run.UID}
	if change, ok := body["metadata"].(map[string]any); ok {
		maps.Copy(metadata, change)
	}
	body["metadata"] = metadata
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("write TrainingRun %s/%s: %w", r.run.Namespace, r.run.Name, err)
	}
	options := []client.PatchOption{client.FieldOwner(FieldManager)}
	if e.dryRun == "server" {
		options = append(options, client.DryRunAll)
	}
	if err := e.client.Patch(ctx, r.run, client.RawPatch(types.MergePatchType, text), options...); err != nil {
		return fmt.Errorf("write TrainingRun %s/%s: %w", r.run.Namespace, r.run.Name, err)
	}
	r.answered = r.run.Status.ObservedDeclarations
	return nil
}

// editable gives a run with what has to be known to edit it.
func (p *project) editable(run *v1alpha1.TrainingRun) edit.Run {
	return edit.Run{Object: run, Dialect: p.dialect, Policy: min(policy(run.Spec.TagPolicy), policy(p.ceiling))}
}

// checkTags refuses what no tracker takes as a tag.
func checkTags(names []string) error {
	for _, name := range names {
		if _, err := (tags.Dialect{}).Parse(name); err != nil {
			return usagef("%w", err)
		}
	}
	return nil
}
