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

// waitFor waits until status says of every run that the tags are on it, or off it.
func (e editing) waitFor(ctx context.Context, done []edited) error {
	timeout := e.timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errTimeout)
	defer cancel()
	waiting, stuck := map[types.UID]edited{}, map[types.UID]edited{}
	for _, r := range done {
		if len(r.result.Present)+len(r.result.Absent) > 0 {
			waiting[r.run.UID] = r
		}
	}
	options := []client.ListOption{client.InNamespace(e.namespace)}
	switch {
	case len(waiting) == 0:
		return nil
	case e.allNamespaces:
		options = nil
	case len(waiting) == 1:
		for _, r := range waiting {
			options = append(options, client.MatchingFields{"metadata.name": r.run.Name})
		}
	}
	total := len(waiting)
	bar := terminal.NewBar(e.errTerminal(), "on the tracker", total)
	err := e.until(ctx, &v1alpha1.TrainingRunList{}, options, func(object client.Object, gone bool) (bool, error) {
		run, ok := object.(*v1alpha1.TrainingRun)
		r, asked := waiting[object.GetUID()]
		if !ok || !asked {
			return false, nil
		}
		if gone {
			return false, fmt.Errorf("TrainingRun %s/%s was deleted meanwhile", run.Namespace, run.Name)
		}
		r.run = run
		waiting[run.UID] = r
		switch {
		case e.landed(r):
		case r.stuck():
			stuck[run.UID] = r
		default:
			return false, nil
		}
		delete(waiting, run.UID)
		bar.Set(total-len(waiting), total)
		return len(waiting) == 0, nil
	})
	bar.Clear()
	if err != nil && !errors.Is(err, errTimeout) {
		return err
	}
	if err := e.late(stuck, "and will not be"); err != nil {
		return err
	}
	if err == nil && len(stuck) > 0 {
		return fmt.Errorf("%w", errPartly)
	}
	if err == nil {
		return nil
	}
	if err := e.late(waiting, "yet"); err != nil {
		return err
	}
	return fmt.Errorf("%w: %s; what was declared stays declared, and lands later", errTimeout, nRuns(len(waiting)))
}

// stuck says whether the operator has answered the edit, and says that only a person can help.
func (r edited) stuck() bool {
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

// late says of runs that were waited for in vain what their status says.
func (e editing) late(waiting map[types.UID]edited, how string) error {
	late := slices.SortedFunc(maps.Values(waiting), func(a, b edited) int {
		return cmp.Or(strings.Compare(a.run.Namespace, b.run.Namespace), strings.Compare(a.run.Name, b.run.Name))
	})
	for _, r := range late {
		if err := say(e.ErrOut, "%s: not there %s: %s", r.run.Name, how, readiness(r.run.Status.Conditions)); err != nil {
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
