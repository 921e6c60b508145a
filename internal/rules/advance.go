package rules

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// maxFacts is how many facts are remembered of one run. Past it Pending ones go first, then those of WhileTrue rules,
	// and of those alike the youngest.
	maxFacts = 256
	// goneAfter is how long a WhileTrue tag stays after its rule is gone: long enough to replace a rule by deleting it and
	// making it again.
	goneAfter = 5 * time.Minute
	// maxWiped is how often a tag is taken off an ended run until it is clear that a person does not want it.
	maxWiped = 2
	// deleted ends the reason of what a Sticky rule found that is gone.
	deleted = " (rule deleted)"
)

// Advance takes what was remembered of a run on by one look at its rules. Asked twice of the same situation, with the
// facts that it gave, it changes nothing; the order of rules does not matter.
//
// A rule that turns true is Pending from the time given and Held once it is true when its time For has passed: False ends
// that, NoInput does not. What is Held stays under Sticky, whatever the rule says later and whether it selects the run or
// not; under WhileTrue it goes on False. NoInput changes nothing, and neither does a rule that does not compile.
//
// Evidence is counted by its sources, not by looks: of the verdict's sources one counts once more if its pod began to
// belong to the run after the last evidence that was counted (Last, a time of the cluster's objects and no time of ours),
// and only then Count, Last, Reason and Source change. So three preemptions of one run in three pods are three, whether
// seen one by one or at once, and 64 pods of one gang on spot nodes are one, in whatever order they come.
//
// A refused tag is Overruled: one fact stays, which no rule declares, present or future, until spec or label declares the
// tag; what a Sticky rule had found is Held again then.
func Advance(s Situation) Change {
	a := newAdvance(s)
	a.overrule()
	a.ask()
	return a.change()
}

// role says what becomes of a fact's tag.
type role int

const (
	silent role = iota
	declares
	freezes
)

// kept is a fact that stays, what it says of its tag, and when time alone changes it.
type kept struct {
	Fact
	role role
	due  time.Time
}

type advance struct {
	Situation
	now time.Time
	// facts are those Held and Pending, by rule and tag; overruled by tag.
	facts     map[string]map[string]Fact
	overruled map[string]Fact
	kept      []kept
	unknown   []string
}

func newAdvance(s Situation) *advance {
	a := &advance{Situation: s, now: second(s.Now), facts: map[string]map[string]Fact{}, overruled: map[string]Fact{}}
	remembered := slices.Clone(s.Facts)
	slices.SortStableFunc(remembered, byRule)
	for _, f := range remembered {
		f.First, f.Last, f.Gone = second(f.First), second(f.Last), second(f.Gone)
		if f.State != Overruled {
			a.put(f)
		} else if _, known := a.overruled[f.Tag]; !known {
			a.overruled[f.Tag] = f
		}
	}
	return a
}

// second gives a time as the API server stores it.
func second(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Second)
}

func byRule(a, b Fact) int {
	return cmp.Or(strings.Compare(a.Rule, b.Rule), strings.Compare(a.Tag, b.Tag))
}

func (a *advance) put(f Fact) {
	if a.facts[f.Rule] == nil {
		a.facts[f.Rule] = map[string]Fact{}
	}
	a.facts[f.Rule][f.Tag] = f
}

// overrule goes by what people said of tags: it ends overruling, begins it, and forgets what rules found of tags that
// nobody wants.
func (a *advance) overrule() {
	for _, tag := range a.Declared {
		f, ok := a.overruled[tag]
		if !ok {
			continue
		}
		delete(a.overruled, tag)
		if _, found := a.facts[f.Rule][tag]; f.Sticky && f.Count > 0 && !found {
			f.State, f.Wiped = Held, 0
			a.put(f)
		}
	}
	for _, tag := range sorted(slices.Clone(a.Refused)) {
		if f, ok := a.holder(tag); ok && !slices.Contains(a.Declared, tag) {
			a.refuse(f)
		}
	}
	for _, tag := range sorted(slices.Clone(a.Wiped)) {
		if !slices.Contains(a.Declared, tag) {
			a.wipe(tag)
		}
	}
	for _, facts := range a.facts {
		maps.DeleteFunc(facts, func(tag string, _ Fact) bool {
			_, refused := a.overruled[tag]
			return refused
		})
	}
}

// holder is the fact of a tag that says most: one that is Held, and then the first rule's.
func (a *advance) holder(tag string) (found Fact, ok bool) {
	for _, rule := range slices.Sorted(maps.Keys(a.facts)) {
		f, there := a.facts[rule][tag]
		if there && (!ok || f.State == Held && found.State != Held) {
			found, ok = f, true
		}
	}
	return found, ok
}

func (a *advance) refuse(f Fact) {
	if f.State == Pending {
		// It was never found, so there is nothing to hold again.
		f.Count = 0
	}
	f.State, f.Gone, f.Reason = Overruled, time.Time{}, strings.TrimSuffix(f.Reason, deleted)
	a.overruled[f.Tag] = f
}

// wipe counts that somebody took the tag off the ended run.
func (a *advance) wipe(tag string) {
	most := 0
	for _, facts := range a.facts {
		if f, ok := facts[tag]; ok && f.State == Held {
			f.Wiped++
			facts[tag] = f
			most = max(most, f.Wiped)
		}
	}
	if most < maxWiped {
		return
	}
	f, _ := a.holder(tag)
	f.Wiped = most
	a.refuse(f)
}

// ask goes through the rules that there are and then through those that there were.
func (a *advance) ask() {
	there := make(map[string]bool, len(a.Rules))
	for i := range a.Rules {
		asked := &a.Rules[i]
		there[asked.Spec.Key] = true
		a.consider(asked, a.facts[asked.Spec.Key])
	}
	for rule, facts := range a.facts {
		if !there[rule] {
			a.gone(facts)
		}
	}
	for _, f := range a.overruled {
		a.kept = append(a.kept, kept{Fact: f})
	}
}

// consider keeps what a rule that is there found and finds.
func (a *advance) consider(asked *Asked, facts map[string]Fact) {
	for tag, f := range facts {
		f.Gone, f.Reason = time.Time{}, strings.TrimSuffix(f.Reason, deleted)
		f.Sticky = asked.Spec.Retention == Sticky
		facts[tag] = f
	}
	switch mode := asked.Spec.Mode; {
	case mode == Retract:
	case mode == Report || mode == Suspend:
		for _, f := range facts {
			// What was Pending is not: while nobody looks, nobody knows whether it holds without a break.
			if f.State == Held {
				a.kept = append(a.kept, kept{Fact: f, role: freezes})
			}
		}
	case asked.Broken && asked.Selected:
		a.unknown = append(a.unknown, asked.Spec.Key)
		for _, f := range facts {
			a.keep(f, time.Time{})
		}
	default:
		a.enforce(asked, facts)
	}
}

// enforce takes a rule on by its verdict.
func (a *advance) enforce(asked *Asked, facts map[string]Fact) {
	base, known := first(facts)
	outcome := asked.outcome(base)
	switch {
	case !known && outcome != True:
		return
	case !known:
		base = Fact{Rule: asked.Spec.Key, State: Pending, First: a.now, Sticky: asked.Spec.Retention == Sticky}
	case outcome == False && (base.State == Pending || !base.Sticky):
		return
	}
	var due time.Time
	if base.State == Pending && outcome == True {
		if due = base.First.Add(asked.Spec.For); !a.now.Before(due) {
			base.State, due = Held, time.Time{}
		}
	}
	for tag, computed := range a.wanted(asked, facts, outcome) {
		f, ok := facts[tag]
		if !ok {
			f = base
			f.Tag, f.Wiped = tag, 0
		}
		if f.State == Pending {
			f.First = base.First
		}
		f.State, f.Computed = base.State, computed
		if outcome == True {
			f.found(&asked.Verdict, a.now)
		}
		a.keep(f, due)
	}
}

// outcome is what the rule says of the run: nothing of one that it no longer selects, of which it keeps its facts.
func (asked *Asked) outcome(base Fact) Outcome {
	switch {
	case asked.Selected:
		return asked.Verdict.Outcome
	case base.State == Held && base.Sticky:
		return NoInput
	}
	return False
}

// first is the fact that stands for the rule: one that is Held, and then the one that began first.
func first(facts map[string]Fact) (base Fact, ok bool) {
	for _, tag := range slices.Sorted(maps.Keys(facts)) {
		f := facts[tag]
		if !ok || f.State == Held && base.State != Held || f.State == base.State && f.First.Before(base.First) {
			base, ok = f, true
		}
	}
	return base, ok
}

// wanted are the tags that a rule gives, and whether it computed them: those of its spec as it is now, and the latest
// result of tagExpression that was not empty.
func (a *advance) wanted(asked *Asked, facts map[string]Fact, outcome Outcome) map[string]bool {
	tags := map[string]bool{}
	if asked.Spec.TagExpression != "" {
		if outcome == True && len(asked.Verdict.Tags) > 0 {
			for _, tag := range asked.Verdict.Tags {
				tags[tag] = true
			}
		} else {
			for tag, f := range facts {
				if f.Computed {
					tags[tag] = true
				}
			}
		}
	}
	for _, tag := range asked.Spec.Tags {
		tags[tag] = false
	}
	maps.DeleteFunc(tags, func(tag string, _ bool) bool {
		_, refused := a.overruled[tag]
		return refused
	})
	return tags
}

// found adds what a true verdict says, if it is new.
func (f *Fact) found(v *Verdict, now time.Time) {
	fresh := v.Sources
	if f.Count > 0 {
		fresh = nil
		for _, s := range v.Sources {
			if !second(s.From).Before(f.Last) && second(s.At).After(f.Last) {
				fresh = append(fresh, s)
			}
		}
		if len(fresh) == 0 {
			return
		}
	}
	f.Count += max(len(fresh), 1)
	f.Reason, f.Source, f.Last = v.Evidence, v.Source, now
	if n := len(fresh); n > 0 && !fresh[n-1].At.IsZero() {
		f.Last = second(fresh[n-1].At)
	}
}

// gone keeps what a rule found that is no more: for good what was a fact about the run, and for a while the rest.
func (a *advance) gone(facts map[string]Fact) {
	for _, f := range facts {
		if f.State != Held {
			continue
		}
		if f.Gone.IsZero() {
			f.Gone = a.now
		}
		end := f.Gone.Add(goneAfter)
		switch {
		case f.Sticky:
			f.Reason = strings.TrimSuffix(f.Reason, deleted) + deleted
			a.keep(f, time.Time{})
		case a.now.Before(end):
			a.keep(f, end)
		}
	}
}

func (a *advance) keep(f Fact, due time.Time) {
	r := silent
	if f.State == Held {
		r = declares
	}
	a.kept = append(a.kept, kept{Fact: f, role: r, due: due})
}

// change gives what is left, in order.
func (a *advance) change() Change {
	if len(a.kept) > maxFacts {
		slices.SortFunc(a.kept, func(x, y kept) int {
			return cmp.Or(cmp.Compare(x.weight(), y.weight()), x.First.Compare(y.First), byRule(x.Fact, y.Fact))
		})
		a.kept = a.kept[:maxFacts]
	}
	slices.SortFunc(a.kept, func(x, y kept) int { return byRule(x.Fact, y.Fact) })
	slices.Sort(a.unknown)
	c := Change{Unknown: a.unknown}
	for _, k := range a.kept {
		c.Facts = append(c.Facts, k.Fact)
		switch k.role {
		case declares:
			c.Declared = append(c.Declared, k.Fact)
		case freezes:
			c.Frozen = append(c.Frozen, k.Fact)
		case silent:
		}
		if k.due.After(a.now) && (c.Due.IsZero() || k.due.Before(c.Due)) {
			c.Due = k.due
		}
	}
	return c
}

// weight orders facts by what is lost with them.
func (k *kept) weight() int {
	switch {
	case k.State == Overruled:
		return 0
	case k.State == Held && k.Sticky:
		return 1
	case k.State == Held:
		return 2
	}
	return 3
}
