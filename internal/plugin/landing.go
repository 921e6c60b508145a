package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/plugin/terminal"
)

// landing are the edits that are still waited for, and those that only a person can help.
type landing struct {
	editing
	waiting, stuck map[types.UID]edited
}

// waitFor waits until status says of every run that the tags are on it, or off it.
func (e editing) waitFor(ctx context.Context, done []edited) error {
	timeout := e.timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errTimeout)
	defer cancel()
	l := landing{editing: e, waiting: map[types.UID]edited{}, stuck: map[types.UID]edited{}}
	for _, r := range done {
		if len(r.result.Present)+len(r.result.Absent) > 0 {
			l.waiting[r.run.UID] = r
		}
	}
	total := len(l.waiting)
	if total == 0 {
		return nil
	}
	bar := terminal.NewBar(e.errTerminal(), "on the tracker", total)
	err := e.until(ctx, &v1alpha1.TrainingRunList{}, l.options(), func(object client.Object, gone bool) (bool, error) {
		err := l.see(object, gone)
		bar.Set(total-len(l.waiting), total)
		return len(l.waiting) == 0, err
	})
	bar.Clear()
	return l.verdict(err)
}

// options are those of the list that has all that is waited for.
func (l landing) options() []client.ListOption {
	var options []client.ListOption
	if !l.allNamespaces {
		options = append(options, client.InNamespace(l.namespace))
	}
	for _, r := range l.waiting {
		if len(l.waiting) == 1 {
			options = append(options, client.MatchingFields{"metadata.name": r.run.Name})
		}
	}
	return options
}

// see takes up what became of a run.
func (l landing) see(object client.Object, gone bool) error {
	run, ok := object.(*v1alpha1.TrainingRun)
	r, asked := l.waiting[object.GetUID()]
	if !ok || !asked {
		return nil
	}
	if gone {
		return fmt.Errorf("TrainingRun %s/%s was deleted meanwhile", run.Namespace, run.Name)
	}
	r.run = run
	l.waiting[run.UID] = r
	switch {
	case l.landed(r):
		delete(l.waiting, run.UID)
	case r.needsPerson():
		delete(l.waiting, run.UID)
		l.stuck[run.UID] = r
	}
	return nil
}

// verdict says what came of the wait, which ended with this error.
func (l landing) verdict(err error) error {
	if err != nil && !errors.Is(err, errTimeout) {
		return err
	}
	if failed := errors.Join(l.tell(l.stuck, "and will not be"), l.tell(l.waiting, "yet")); failed != nil {
		return failed
	}
	switch {
	case len(l.waiting) > 0:
		return fmt.Errorf("%w: %s; what was declared stays declared, and lands later", errTimeout, nRuns(len(l.waiting)))
	case len(l.stuck) > 0:
		return errPartly
	}
	return nil
}

// needsPerson says whether the operator has answered the edit, and says that only a person can help.
func (r edited) needsPerson() bool {
	return r.result.Patch != nil && r.run.Status.ObservedDeclarations != r.answered && meta.IsStatusConditionTrue(r.run.Status.Conditions, v1alpha1.ConditionStalled)
}

// landed says whether the status of a run shows what was asked for.
func (e editing) landed(r edited) bool {
	p := e.projects[client.ObjectKey{Namespace: r.run.Namespace, Name: r.run.Spec.ProjectRef.Name}]
	on := observed(p.dialect, r.run)
	for _, name := range r.result.Present {
		if !backend.Carries(p.dialect, on, name) {
			return false
		}
	}
	return !slices.ContainsFunc(r.result.Absent, func(name string) bool { return p.dialect.Has(on, name) })
}

// tell says of runs that were waited for in vain what their status says.
func (l landing) tell(late map[types.UID]edited, how string) error {
	sorted := slices.SortedFunc(maps.Values(late), func(a, b edited) int {
		return cmp.Or(strings.Compare(a.run.Namespace, b.run.Namespace), strings.Compare(a.run.Name, b.run.Name))
	})
	for _, r := range sorted {
		if err := say(l.ErrOut, "%s: not there %s: %s", r.run.Name, how, readiness(r.run.Status.Conditions)); err != nil {
			return err
		}
	}
	return nil
}

// readiness is what an object's conditions say of it.
func readiness(conditions []metav1.Condition) string {
	if ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady); ready != nil {
		return ready.Reason + ": " + ready.Message
	}
	return "the operator has said nothing of it; is it running?"
}
