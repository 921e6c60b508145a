// Package why gives an account of the tags of one run: who declared each and when, what would take it off, and of one
// that is not there, why not. It is pure: it goes by what the TrainingRun says.
package why

import (
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/mirror"
	"github.com/runtag/runtag/internal/plugin/edit"
	"github.com/runtag/runtag/internal/plugin/plan"
	"github.com/runtag/runtag/internal/tags"
)

// operator is the field manager of all that the operator writes.
const operator = "runtag"

// Account is what there is to say of one tag.
type Account struct {
	Tag string `json:"tag"`
	// Present says that it was on the run at the last look.
	Present bool `json:"present"`
	// Since is when it was first seen with its present source; nil where it was not.
	Since *metav1.Time `json:"since,omitempty"`
	// Claims say who wants it on the run, the strongest first, or who put it there.
	Claims []Claim `json:"claims,omitempty"`
	// Missing says why it is not on the run; empty while it is.
	Missing []string `json:"missing,omitempty"`
	// Goes says what would take it off, or would no longer want it.
	Goes []string `json:"goes,omitempty"`
	// Changes of it on the tracker, as far as the history has them, newest first.
	Changes []v1alpha1.TagHistory `json:"changes,omitempty"`
}

// Claim is one reason for a tag.
type Claim struct {
	// Source is Spec, Label, Rule or Run, and Where says more: the field, label or annotation, the rule, or the tracker.
	Source v1alpha1.TagSource `json:"source"`
	Where  string             `json:"where"`
	// Writers are the field managers that wrote it, newest first.
	Writers []Writer `json:"writers,omitempty"`
	// Evidence is what made a rule true, Count how often something new did, First and Last when.
	Evidence string       `json:"evidence,omitempty"`
	Count    int32        `json:"count,omitempty"`
	First    *metav1.Time `json:"first,omitempty"`
	Last     *metav1.Time `json:"last,omitempty"`
	// Sticky says that a rule's tag stays when the rule no longer holds.
	Sticky bool `json:"sticky,omitempty"`
}

// Writer is a field manager, and when it last wrote the object.
type Writer struct {
	Manager string       `json:"manager"`
	Time    *metav1.Time `json:"time,omitempty"`
}

// teller knows all of one run.
type teller struct {
	plan.Run
	owners  []edit.Owner
	labels  mirror.Reading
	lists   mirror.Lists
	planned tags.Plan
}

func newTeller(r plan.Run) *teller {
	return &teller{Run: r, owners: edit.OwnersOf(r.Object), labels: r.Labels(), lists: mirror.ReadLists(r.Object.Annotations), planned: tags.Make(r.Input())}
}

// Of gives the accounts of these tags; of all that the object knows of where none is named.
func Of(r plan.Run, names ...string) []Account {
	t := newTeller(r)
	if len(names) == 0 {
		names = t.names()
	}
	accounts := make([]Account, 0, len(names))
	for _, name := range names {
		accounts = append(accounts, t.account(r.Name(name)))
	}
	return accounts
}

// names are the tags that are on the run, declared, kept off, or were taken off lately.
func (t *teller) names() []string {
	all := map[string]bool{}
	add := func(names ...string) {
		for _, name := range names {
			all[t.Name(name)] = true
		}
	}
	st := &t.Object.Status
	for _, tag := range st.Tags {
		add(tag.Name)
	}
	for _, tag := range st.RemovedTags {
		add(tag.Name)
	}
	for _, tag := range st.RuleTags {
		add(tag.Tag)
	}
	add(t.Object.Spec.Tags...)
	add(t.Object.Spec.ExcludeTags...)
	add(t.labels.Declared...)
	add(t.lists.Declared()...)
	return slices.Sorted(maps.Keys(all))
}

func (t *teller) account(name string) Account {
	a := Account{Tag: name, Claims: t.claims(name)}
	for _, tag := range t.Object.Status.Tags {
		if tag.Name == name {
			since := tag.Since
			a.Present, a.Since = tag.Present, &since
		}
	}
	for _, h := range t.Object.Status.History {
		if h.Tag == name {
			a.Changes = append(a.Changes, h)
		}
	}
	if a.Present && len(a.Claims) == 0 {
		a.Claims = []Claim{t.foreign(a)}
	}
	if !a.Present {
		a.Missing = t.missing(name, a)
	}
	a.Goes = t.goes(name, a)
	return a
}

// claims are the declarations of a tag, the strongest first.
func (t *teller) claims(name string) []Claim {
	var claims []Claim
	for _, item := range t.Object.Spec.Tags {
		if t.Name(item) == name {
			claims = append(claims, Claim{Source: v1alpha1.TagSourceSpec, Where: "spec.tags", Writers: t.writers(func(o edit.Owner) bool { return o.Tags[item] })})
		}
	}
	if slices.Contains(t.labels.Declared, name) {
		key := t.label(name)
		claims = append(claims, Claim{Source: v1alpha1.TagSourceLabel, Where: "label " + key, Writers: t.writers(func(o edit.Owner) bool { return o.Labels[key] })})
	}
	for _, item := range t.lists.Declared() {
		if t.Name(item) == name {
			claims = append(claims, Claim{Source: v1alpha1.TagSourceLabel, Where: "annotation " + t.annotation(item), Writers: t.writers(func(o edit.Owner) bool { return o.Annotations[t.annotation(item)] })})
		}
	}
	for _, r := range t.Object.Status.RuleTags {
		if t.Name(r.Tag) == name && r.State == v1alpha1.RuleTagHeld {
			first, last := r.First, r.Last
			claims = append(claims, Claim{Source: v1alpha1.TagSourceRule, Where: r.Rule, Evidence: r.Reason, Count: r.Count, First: &first, Last: &last, Sticky: r.Sticky})
		}
	}
	return claims
}

// label is the key of the label that stands for a tag.
func (t *teller) label(name string) string {
	tag, err := t.Dialect.Parse(name)
	if err != nil {
		return ""
	}
	key, _ := mirror.Key(t.Dialect, tag)
	return key
}

// annotation is the key of the annotation that declares a tag.
func (t *teller) annotation(item string) string {
	if slices.Contains(t.lists.Add, item) {
		return mirror.AnnotationAdd
	}
	return mirror.AnnotationTags
}

// writers are the field managers, but for the operator, which only moves what others wrote.
func (t *teller) writers(wrote func(edit.Owner) bool) []Writer {
	var writers []Writer
	for _, o := range t.owners {
		if o.Manager != operator && wrote(o) {
			writers = append(writers, Writer{o.Manager, o.Time})
		}
	}
	return writers
}

// foreign is the claim of whoever put a tag on the run that nobody declares here.
func (t *teller) foreign(a Account) Claim {
	c := Claim{Source: v1alpha1.TagSourceRun, Where: "the tracker: a script, the run's page or its API"}
	for _, h := range a.Changes {
		if h.Change != v1alpha1.TagRemoved && h.Source == v1alpha1.TagSourceRun && h.By != "" {
			c.Where = "the tracker: " + h.By
			break
		}
	}
	return c
}
