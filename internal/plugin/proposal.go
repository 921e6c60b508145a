package plugin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/mirror"
	"github.com/runtag/runtag/internal/plugin/manifest"
	"github.com/runtag/runtag/internal/plugin/plan"
	"github.com/runtag/runtag/internal/plugin/trial"
	"github.com/runtag/runtag/internal/rules"
)

// proposal is what manifests would make of the cluster.
type proposal struct {
	*planning
	// runs, projects and rules are those of the manifests, merged into what is there.
	runs     map[client.ObjectKey]*v1alpha1.TrainingRun
	projects map[client.ObjectKey]*v1alpha1.TrackingProject
	rules    []trial.Rule
	// blind counts the runs of which a rule can say nothing, and blindTo says of one why.
	blind   map[string]int
	blindTo map[string]string
	// only is the project that is asked about; empty for all.
	only string
	all  *outlook
}

// proposed is what would change if the manifests were applied.
func (p *planning) proposed(ctx context.Context, project string) (*outlook, error) {
	next := &proposal{
		planning: p, only: project, all: newOutlook(), blind: map[string]int{}, blindTo: map[string]string{},
		runs: map[client.ObjectKey]*v1alpha1.TrainingRun{}, projects: map[client.ObjectKey]*v1alpha1.TrackingProject{},
	}
	if err := next.read(ctx); err != nil {
		return nil, err
	}
	live, err := next.live(ctx)
	if err != nil {
		return nil, err
	}
	before, err := p.subjects(ctx, live)
	if err != nil {
		return nil, err
	}
	after, err := next.overlay(ctx, before)
	if err != nil {
		return nil, err
	}
	next.compare(before, after)
	return next.all, nil
}

// read reads the manifests and merges them into what is there.
func (p *proposal) read(ctx context.Context) error {
	objects, err := p.files.Read(p.In, p.namespace)
	if err != nil {
		return err
	}
	ignored := 0
	for _, o := range objects {
		switch o.GetKind() {
		case "TrainingRun", "TrackingProject", kindTagRule, kindClusterTagRule:
			if err := p.take(ctx, o); err != nil {
				return err
			}
		case "TagChange":
			p.note("TagChange %s is not planned: with apply: false the operator counts what it would change", o.GetName())
		default:
			ignored++
		}
	}
	if len(p.runs)+len(p.projects)+len(p.rules) == 0 {
		return usagef("there is no TrainingRun, TrackingProject or rule in the manifests")
	}
	if ignored > 0 {
		p.note("%d objects of other kinds change no tags, and are left out", ignored)
	}
	return nil
}

func (p *proposal) note(format string, args ...any) {
	p.all.Notes = append(p.all.Notes, fmt.Sprintf(format, args...))
}

// take takes one object of a manifest.
func (p *proposal) take(ctx context.Context, o manifest.Object) error {
	if err := o.Check(); err != nil {
		return err
	}
	merged, there, err := p.merged(ctx, p.client, o)
	if err != nil {
		return err
	}
	key := client.ObjectKeyFromObject(merged)
	switch o.GetKind() {
	case "TrainingRun":
		run := &v1alpha1.TrainingRun{}
		p.runs[key] = run
		return merged.Into(run, false)
	case "TrackingProject":
		project := &v1alpha1.TrackingProject{}
		p.projects[key] = project
		if !there {
			p.note("TrackingProject %s is new: which runs it has is known once the operator has looked", key.Name)
		}
		return merged.Into(project, false)
	}
	rule, _, err := understand(ctx, merged)
	p.rules = append(p.rules, rule)
	return err
}

// live reads the TrainingRuns that the manifests may concern, and their neighbours.
func (p *proposal) live(ctx context.Context) ([]v1alpha1.TrainingRun, error) {
	namespaces := map[string]bool{}
	for key := range p.runs {
		namespaces[key.Namespace] = true
	}
	for key := range p.projects {
		namespaces[key.Namespace] = true
	}
	everywhere := false
	for _, rule := range p.rules {
		everywhere = everywhere || rule.Namespace == ""
		namespaces[rule.Namespace] = true
	}
	if everywhere {
		runs, err := p.list(ctx, &selection{allNamespaces: true})
		if !apierrors.IsForbidden(err) {
			return runs, err
		}
		delete(namespaces, "")
		namespaces[p.namespace] = true
		p.note("you may not read the TrainingRuns of all namespaces: ClusterTagRules are planned for %s only", strings.Join(slices.Sorted(maps.Keys(namespaces)), ", "))
	}
	var all []v1alpha1.TrainingRun
	for _, namespace := range slices.Sorted(maps.Keys(namespaces)) {
		at := *p.session
		at.namespace = namespace
		runs, err := at.list(ctx, &selection{})
		if err != nil {
			return nil, err
		}
		all = append(all, runs...)
	}
	return all, nil
}

// overlay gives the runs as the manifests would have them, each at the place that it has before, and after those the
// ones that take the place of an imported one. Runs of which nothing was seen are noted as unknown.
func (p *proposal) overlay(ctx context.Context, before []trial.Run) ([]trial.Run, error) {
	after := slices.Clone(before)
	left := maps.Clone(p.runs)
	for i := range after {
		key := client.ObjectKeyFromObject(after[i].Object)
		if run, ok := left[key]; ok {
			delete(left, key)
			after[i].Object = run
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(left), func(a, b client.ObjectKey) int { return strings.Compare(a.String(), b.String()) }) {
		p.newRun(key, left[key], after)
	}
	for i := range after {
		r := &after[i]
		if project, ok := p.projects[client.ObjectKey{Namespace: r.Object.Namespace, Name: r.Object.Spec.ProjectRef.Name}]; ok {
			*r = subject(p.Frame, r.Object, project)
		}
	}
	if len(p.rules) == 0 {
		return after, nil
	}
	return after, p.askRules(ctx, after)
}

// newRun places a TrainingRun that is not there yet: it takes over what an imported one remembers of the run.
func (p *proposal) newRun(key client.ObjectKey, run *v1alpha1.TrainingRun, after []trial.Run) {
	at := slices.IndexFunc(after, func(r trial.Run) bool {
		return r.Object.Namespace == key.Namespace && r.Object.Spec.ProjectRef == run.Spec.ProjectRef && run.Spec.RunID != "" && r.ID() == run.Spec.RunID
	})
	switch {
	case at < 0:
		p.unknown(run, "there is no TrainingRun of it yet")
	case after[at].Object.Labels[mirror.Imported] != "true":
		p.unknown(run, "TrainingRun "+after[at].Object.Name+" stands for the run already, so this one would be Stalled (DuplicateRun)")
	default:
		p.note("%s takes over from %s, which was imported", key.Name, after[at].Object.Name)
		run.Status = *after[at].Object.Status.DeepCopy()
		after[at].Object = run
	}
}

func (p *proposal) unknown(run *v1alpha1.TrainingRun, because string) {
	if p.only != "" && run.Spec.ProjectRef.Name != p.only {
		return
	}
	r := plan.Run{Object: run}
	p.all.Unknown = append(p.all.Unknown, unknownRun{TrainingRun: p.nameOf(r), Because: because, Declares: run.Spec.Tags})
}

// askRules asks the rules of the manifests of all runs, and takes what others have found before as it is.
func (p *proposal) askRules(ctx context.Context, after []trial.Run) error {
	namespaces := map[string]bool{}
	for i := range after {
		namespaces[after[i].Object.Namespace] = true
	}
	seen, err := p.sights(ctx, slices.Sorted(maps.Keys(namespaces)))
	if err != nil {
		return err
	}
	for _, why := range seen.Unread {
		p.note("%s: rules that need them get no input", why)
	}
	world, err := trial.NewWorld(seen, after, nil)
	if err != nil {
		return err
	}
	for i := range after {
		if err := p.foresee(world, &after[i]); err != nil {
			return err
		}
	}
	for key, runs := range p.blind {
		p.note("%s has no input for %s, such as %s; kubectl runtag rule test tells of each", key, nRuns(runs), p.blindTo[key])
	}
	return nil
}

// foresee says what rules would want on one run.
func (p *proposal) foresee(world *trial.World, r *trial.Run) error {
	situation := r.Situation()
	asked := map[string]bool{}
	for _, rule := range p.rules {
		if rule.Namespace != "" && rule.Namespace != r.Object.Namespace {
			continue
		}
		a, err := world.Ask(rule, r)
		if err != nil {
			return err
		}
		if key := rule.Spec.Key; a.Outcome == trial.NoInput {
			p.blind[key]++
			p.blindTo[key] = p.nameOf(r.Run) + ": " + a.Why
		}
		situation.Rules = append(situation.Rules, a.Asked)
		asked[rule.Spec.Key] = true
	}
	// What other rules hold stays: they are there, and say nothing new.
	others := map[string]*rules.Asked{}
	for _, f := range situation.Facts {
		if asked[f.Rule] || !f.Gone.IsZero() {
			continue
		}
		if others[f.Rule] == nil {
			others[f.Rule] = &rules.Asked{Selected: true, Spec: rules.Spec{Key: f.Rule, Mode: rules.Enforce, Retention: rules.Sticky}}
		}
		if f.Computed {
			others[f.Rule].Spec.TagExpression = "[]" // whatever it is: it is not asked
		} else {
			others[f.Rule].Spec.Tags = append(others[f.Rule].Spec.Tags, f.Tag)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(others)) {
		situation.Rules = append(situation.Rules, *others[key])
	}
	change := rules.Advance(situation)
	for _, rule := range p.rules { // and once more when they have held for as long as they ask
		if rule.Spec.For > 0 {
			later := situation
			later.Facts, later.Now = change.Facts, later.Now.Add(rule.Spec.For)
			change = rules.Advance(later)
		}
	}
	r.Rules = &change
	return nil
}

// compare notes what would change because of the manifests: what is about to change anyway is left out.
func (p *proposal) compare(before, after []trial.Run) {
	had := foreseen(before)
	for key, looks := range foreseen(after) {
		for i, o := range looks {
			run := o.Object
			switch {
			case p.only != "" && run.Spec.ProjectRef.Name != p.only:
				continue
			case run.Status.Run == nil && p.concerns(o.Run):
				p.unknown(run, "its run was not seen on the tracker yet")
				continue
			case run.Status.Run == nil:
				continue
			}
			for _, c := range o.Changes {
				if !slices.Contains(had[key][i].Changes, c) {
					p.all.add(p.nameOf(o.Run), p.dated(c), "")
				}
			}
			for _, note := range o.Notes {
				if p.concerns(o.Run) {
					p.note("%s: %s", p.nameOf(o.Run), note)
				}
			}
		}
	}
}

// dated adds to what a rule gives how long it has to hold.
func (p *proposal) dated(c plan.Change) plan.Change {
	for _, rule := range p.rules {
		if rule.Spec.Key == c.Rule && rule.Spec.For > 0 && !c.Remove {
			c.Because += fmt.Sprintf(", once it held for %s", rule.Spec.For)
		}
	}
	return c
}

// concerns says whether the manifests are about a run.
func (p *proposal) concerns(r plan.Run) bool {
	_, named := p.runs[client.ObjectKeyFromObject(r.Object)]
	_, project := p.projects[client.ObjectKey{Namespace: r.Object.Namespace, Name: r.Object.Spec.ProjectRef.Name}]
	return named || project || slices.ContainsFunc(p.rules, func(rule trial.Rule) bool {
		return rule.Namespace == "" || rule.Namespace == r.Object.Namespace
	})
}

// foreseen gives the outlook of runs by their projects, in the order of the runs.
func foreseen(runs []trial.Run) map[client.ObjectKey][]plan.Outlook {
	of := map[client.ObjectKey][]plan.Run{}
	projects := map[client.ObjectKey]*v1alpha1.TrackingProject{}
	for _, r := range runs {
		key := client.ObjectKey{Namespace: r.Object.Namespace, Name: r.Object.Spec.ProjectRef.Name}
		of[key] = append(of[key], r.Run)
		projects[key] = r.Project
	}
	out := map[client.ObjectKey][]plan.Outlook{}
	for key, all := range of {
		var unique []string
		made := func(string) bool { return false }
		if project := projects[key]; project != nil {
			unique = project.Spec.UniqueTags
			made = func(tag string) bool {
				return slices.ContainsFunc(project.Status.UniqueTags, func(u v1alpha1.UniqueTagStatus) bool { return u.Name == tag && u.Holder != "" })
			}
		}
		out[key] = plan.All(all, unique, made)
	}
	return out
}
