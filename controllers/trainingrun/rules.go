package trainingrun

import (
	"context"
	"hash/fnv"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/tagrule"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/ruleinput"
	"github.com/runtag/runtag/internal/rules"
	"github.com/runtag/runtag/internal/tags"
)

// verdicts are what rules said of a run, all of the same input.
type verdicts struct {
	input uint64
	of    []verdict
}

// verdict is what a rule said. The rule is another one once its spec changes.
type verdict struct {
	rule *tagrule.Rule
	said *rules.Verdict
}

// askRules finds out which tags rules give to the run. Facts that rules found stay when the object goes.
func (c *Controller) askRules(ctx context.Context, s *scope) (bool, error) {
	facts := s.knownFacts()
	if s.releasing {
		for _, f := range facts {
			if f.State == rules.Held && f.Sticky {
				s.input.Frozen = append(s.input.Frozen, declaredByRule(f))
			}
		}
		return false, nil
	}
	all, err := c.Rules.For(ctx, s.run.Namespace)
	if err != nil {
		return false, err
	}
	situation := rules.Situation{Facts: facts, Declared: s.declaredByPeople(), Refused: s.refused(), Wiped: s.wipedTags(facts), Now: s.now}
	if len(all) > 0 {
		if situation.Rules, err = c.ask(ctx, s, all); err != nil {
			return false, err
		}
	}
	s.facts = rules.Advance(situation)
	s.run.Status.RuleTags = ruleTags(s.facts.Facts)
	s.declareRules()
	if !s.facts.Due.IsZero() {
		s.due(s.facts.Due.Sub(s.now))
	}
	return false, nil
}

// ask evaluates the rules whose input changed since they were asked last.
func (c *Controller) ask(ctx context.Context, s *scope, all []*tagrule.Rule) ([]rules.Asked, error) {
	namespace, there, err := c.Rules.Namespace(ctx, s.run.Namespace)
	if err != nil {
		return nil, err
	}
	in := c.ruleInput(s, namespace)
	hash := hashOf(&in)
	asked := make([]rules.Asked, 0, len(all))
	said := verdicts{input: hash}
	for _, rule := range all {
		a := rules.Asked{Spec: s.named(rule.Spec), Broken: rule.Program == nil}
		a.Selected = !there || rule.SelectsNamespace(namespace.Labels) && rule.SelectsRun(in.Labels)
		if a.Selected && !a.Broken && there && c.Synced() && rule.Evaluated() {
			v := s.verdictOf(rule, &in, hash)
			said.of = append(said.of, verdict{rule, v})
			a.Verdict = *v
		}
		if rule.Spec.Mode == rules.Report && c.Tally.Note(rule, s.key(), a.Verdict.Outcome == rules.True, s.now) {
			c.Report(rule)
		}
		asked = append(asked, a)
	}
	said.of = fitted(said.of)
	s.memory.verdicts = said
	return asked, nil
}

// verdictOf is what a rule says of the run: what it said last, if neither it nor anything it can read changed since.
func (s *scope) verdictOf(rule *tagrule.Rule, in *rules.Input, hash uint64) *rules.Verdict {
	if before := s.memory.verdicts; before.input == hash {
		for _, v := range before.of {
			if v.rule.UID == rule.UID && v.rule.Generation == rule.Generation {
				return v.said
			}
		}
	}
	v := rule.Program.Eval(*in)
	v.Tags = s.canonical(v.Tags)
	return plain(&v)
}

// plain gives the same memory to equal verdicts that rest on no evidence, as most rules give for most runs.
func plain(v *rules.Verdict) *rules.Verdict {
	if v.Evidence != "" || v.Source != "" || len(v.Sources)+len(v.Tags)+len(v.Invalid) > 0 {
		return v
	}
	shared.Lock()
	defer shared.Unlock()
	sum := shared.Sum("verdict", strconv.Itoa(int(v.Outcome)), v.Why)
	if same, ok := shared.Find(sum).(*rules.Verdict); ok && same.Outcome == v.Outcome && same.Why == v.Why {
		return same
	}
	shared.Keep(sum, v)
	return v
}

// named gives a rule whose tags have the names that this tracker gives them.
func (s *scope) named(spec rules.Spec) rules.Spec {
	spec.Tags = s.canonical(spec.Tags)
	return spec
}

func (s *scope) canonical(names []string) []string {
	if !s.input.Dialect.Pairs {
		return names
	}
	return Canonical(s.input.Dialect, names)
}

// ruleInput is the world as rules see it: without what they did themselves.
func (c *Controller) ruleInput(s *scope, namespace rules.Namespace) rules.Input {
	run := s.run.Status.Run
	in := rules.Input{
		Run: ruleinput.Facts(run, s.view.Run.Summary), Tags: tags.ByOthers(s.input), Namespace: namespace,
		Ended: !backend.State(run.State).Active() || run.Stale,
	}
	in.Labels = ruleinput.Labels(s.input.Dialect, s.run.Labels, in.Tags)
	in.Pods, in.Workloads = ruleinput.Pods(c.Evidence, s.links)
	return in
}

// hashOf is the same as long as nothing changes that a rule can read.
func hashOf(in *rules.Input) uint64 {
	h := fnv.New64a()
	text := func(parts ...string) {
		for _, part := range parts {
			_, _ = io.WriteString(h, part)
			_, _ = h.Write([]byte{0})
		}
	}
	number := func(n int64) { text(strconv.FormatInt(n, 36)) }
	pairs := func(m map[string]string) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			text(key, m[key])
		}
		number(int64(len(m)))
	}
	r := &in.Run
	text(r.ID, r.UID, r.DisplayName, r.State, r.URL, r.Host, r.User, r.Group, r.JobType, strconv.FormatBool(in.Ended))
	number(r.CreatedAt.Unix())
	number(r.FinishedAt.Unix())
	number(int64(r.Attempts))
	for _, key := range slices.Sorted(maps.Keys(r.Summary)) {
		text(key, strconv.FormatFloat(r.Summary[key], 'g', -1, 64))
	}
	pairs(in.Labels)
	text(in.Tags...)
	pairs(in.Namespace.Labels)
	pairs(in.Namespace.Annotations)
	for _, p := range in.Pods {
		text(string(p.Pod.UID), strconv.FormatUint(p.Pod.Seen, 36), strconv.FormatBool(p.Direct), strconv.FormatBool(p.Live))
		number(p.From.Unix())
		number(p.Until.Unix())
		if p.Node != nil {
			text(string(p.Node.UID), strconv.FormatUint(p.Node.Seen, 36))
		}
	}
	for _, w := range in.Workloads {
		text(string(w.UID), strconv.FormatUint(w.Seen, 36))
	}
	return h.Sum64()
}

// declareRules adds what rules want to the input of the plan. What a rule holds that does not compile is declared by a
// source that is not known.
func (s *scope) declareRules() {
	byRule := map[string]*tags.Declarations{}
	of := func(rule string) *tags.Declarations {
		if byRule[rule] == nil {
			byRule[rule] = &tags.Declarations{Name: rule}
		}
		return byRule[rule]
	}
	for _, f := range s.facts.Declared {
		d := of(f.Rule)
		d.Tags = append(d.Tags, declaredByRule(f))
	}
	for _, rule := range s.facts.Unknown {
		of(rule).Unknown = true
	}
	for _, rule := range slices.Sorted(maps.Keys(byRule)) {
		s.input.Declared = append(s.input.Declared, *byRule[rule])
	}
	for _, f := range s.facts.Frozen {
		s.input.Frozen = append(s.input.Frozen, declaredByRule(f))
	}
}

func declaredByRule(f rules.Fact) tags.Declaration {
	return tags.Declaration{Tag: f.Tag, Source: tags.Rule, Rule: f.Rule}
}

// declaredByPeople are the tags that spec or labels declare, by name.
func (s *scope) declaredByPeople() []string {
	var names []string
	for _, source := range s.input.Declared {
		for _, d := range source.Tags {
			names = append(names, d.Tag)
		}
	}
	return s.canonical(names)
}

// refused are the tags that a person took off, by label or annotation.
func (s *scope) refused() []string {
	if !s.labels.MayRemove {
		return nil
	}
	return s.canonical(slices.Concat(s.reading.Requested, s.lists.Remove))
}

// wipedTags are those that rules hold, that were on the ended run, and that somebody took off there.
func (s *scope) wipedTags(facts []rules.Fact) []string {
	before := s.stored.Status.Run
	if before == nil || before.UID != s.view.Run.UID || backend.State(before.State).Active() || s.view.Run.State.Active() {
		return nil
	}
	var wiped []string
	for _, f := range facts {
		was := slices.ContainsFunc(s.stored.Status.Tags, func(t v1alpha1.TagStatus) bool {
			return t.Name == f.Tag && t.Present && t.Source == v1alpha1.TagSourceRule
		})
		if f.State == rules.Held && was && !s.input.Dialect.Has(s.view.Run.Tags, f.Tag) {
			wiped = append(wiped, f.Tag)
		}
	}
	return wiped
}

// knownFacts are what rules found before for this incarnation of the run.
func (s *scope) knownFacts() []rules.Fact {
	if r := s.stored.Status.Run; r == nil || r.UID != s.view.Run.UID {
		return nil
	}
	facts := make([]rules.Fact, 0, len(s.stored.Status.RuleTags))
	for _, t := range s.stored.Status.RuleTags {
		facts = append(facts, rules.Fact{
			Rule: t.Rule, Tag: t.Tag, State: rules.State(t.State), First: t.First.Time, Last: t.Last.Time, Count: int(t.Count), Wiped: int(t.Wiped),
			Reason: t.Reason, Source: t.Source, Computed: t.Computed, Sticky: t.Sticky, Gone: timeOf(t.GoneSince),
		})
	}
	return facts
}

func ruleTags(facts []rules.Fact) []v1alpha1.RuleTag {
	var list []v1alpha1.RuleTag
	for _, f := range facts {
		list = append(list, v1alpha1.RuleTag{
			Rule: f.Rule, Tag: f.Tag, State: v1alpha1.RuleTagState(f.State), First: wholeSeconds(f.First), Last: wholeSeconds(f.Last),
			Count: int32(f.Count), Wiped: int32(f.Wiped), //nolint:gosec // small counts
			Reason: Shorten(f.Reason, maxText), Source: f.Source, Computed: f.Computed, Sticky: f.Sticky,
			GoneSince: optionalTime(f.Gone),
		})
	}
	return list
}

func timeOf(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

func optionalTime(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	out := wholeSeconds(t)
	return &out
}
