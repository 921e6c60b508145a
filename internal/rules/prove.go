package rules

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/google/cel-go/common/types/ref"
)

const (
	// maxEvidence is the longest evidence, in characters: 250 with what Advance may add.
	maxEvidence = 250 - len(deleted)
	// maxSources is how many pods are asked one by one for what made a rule true, the newest first.
	maxSources = 256
)

// proof is one pod or Workload for which alone a rule is true.
type proof struct {
	Source
	// over is when what it proves is past, so that a pod that began later proves it anew; zero for not yet.
	over   time.Time
	direct bool
	text   string
}

// prove finds what made a true rule true. The rule is asked once more with each pod alone, and each for which it is true
// is a source. Pods of one gang are no sources of their own: of those sorted by when they proved it, one counts if it
// began after what the one before it proved was past, as a pod does that a preempted run is resumed in.
func (p *Program) prove(w *world, v *Verdict) {
	if p.when.reads.pods() || p.when.reads.variables["workloads"] {
		if anyway, _ := p.when.holds(newWorld(w.in, nil, nil)); !anyway {
			v.Sources, v.Evidence = chain(p.proofs(w))
		}
	}
	if n := len(v.Sources); n > 0 {
		v.Source = v.Sources[n-1].UID
		return
	}
	v.Evidence = p.when.evidence(w, "")
}

// proofs are the pods or, if it is none of them, the Workloads that prove the rule; or else pods together with those.
func (p *Program) proofs(w *world) []proof {
	found := p.podProofs(w, nil)
	if len(found) > 0 || len(w.workloads) == 0 || !p.when.reads.variables["workloads"] {
		return found
	}
	for i, one := range w.workloads {
		alone := newWorld(w.in, nil, w.workloads[i:i+1])
		if ok, _ := p.when.holds(alone); !ok {
			continue
		}
		it := one.(*object).it.(*workload)
		f := proof{Source: Source{UID: string(it.UID)}}
		f.text, f.At = p.when.account(alone, "workload "+it.Name)
		f.From, f.over = f.At, f.At
		found = append(found, f)
	}
	if len(found) > 0 {
		return found
	}
	return p.podProofs(w, w.workloads)
}

func (p *Program) podProofs(w *world, workloads []ref.Val) []proof {
	var found []proof
	for i := range w.links[:min(len(w.links), maxSources)] {
		l := &w.links[i]
		alone := newWorld(w.in, w.links[i:i+1], workloads)
		if ok, _ := p.when.holds(alone); !ok {
			continue
		}
		subject := "pod " + l.Pod.Name
		if l.Pod.NodeName != "" {
			subject += " on node " + l.Pod.NodeName
		}
		f := proof{Source: Source{UID: string(l.Pod.UID), From: l.From, At: l.From}, over: l.Until, direct: l.Direct}
		var event time.Time
		if f.text, event = p.when.account(alone, subject); event.After(l.From) {
			f.At, f.over = event, event
		}
		found = append(found, f)
	}
	return found
}

// chain picks the sources that count, the oldest first, and the evidence of the last.
func chain(found []proof) (sources []Source, evidence string) {
	slices.SortFunc(found, func(a, b proof) int {
		direct := 0
		if a.direct != b.direct {
			direct = 1
			if a.direct {
				direct = -1
			}
		}
		return cmp.Or(a.At.Compare(b.At), direct, a.From.Compare(b.From), strings.Compare(a.text, b.text), strings.Compare(a.UID, b.UID))
	})
	var last *proof
	for i := range found {
		f := &found[i]
		if last != nil && (last.over.IsZero() || f.From.Before(last.over)) {
			continue
		}
		last = f
		sources, evidence = append(sources, f.Source), f.text
	}
	return sources, evidence
}

// account tells what made the expression true in a world where it is, and when the last of it happened; zero for what
// has no time.
func (e *expression) account(w *world, subject string) (text string, at time.Time) {
	v, details, why := e.value(e.tracked, w)
	if why != "" || v == nil {
		return cut(subject, maxEvidence), at
	}
	t := &tracer{expression: e, state: details.State()}
	t.support(e.ast.Expr(), true)
	for _, a := range t.atoms {
		if a.at.After(at) {
			at = a.at
		}
	}
	body := t.text()
	if body == "" {
		body = e.source(e.ast.Expr())
	}
	if subject != "" {
		body = subject + ": " + body
	}
	return cut(oneLine(body), maxEvidence), at
}

// evidence is the text alone.
func (e *expression) evidence(w *world, subject string) string {
	text, _ := e.account(w, subject)
	return text
}

// Explain is Eval that also says why a rule is not true: Why has the part of the expression that was false.
func (p *Program) Explain(in Input) Verdict {
	v := p.Eval(in)
	if v.Outcome != False || v.Why != "" {
		return v
	}
	links, _ := p.links(&in)
	_, details, why := p.when.value(p.when.tracked, newWorld(&in, links, workloadsOf(&in)))
	if why != "" {
		return v
	}
	t := &tracer{expression: p.when, state: details.State()}
	v.Why = cut(oneLine(p.when.source(t.falsePart(p.when.ast.Expr()))), maxEvidence) + " is false"
	return v
}
