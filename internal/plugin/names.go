package plugin

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
)

// errNoRun: nothing is called so.
var errNoRun = errors.New("there is no such run")

// find gives the TrainingRun that a person names by its name, its run's id or the URL of the run's page.
func (s *session) find(ctx context.Context, name string, allNamespaces bool) (*v1alpha1.TrainingRun, error) {
	if strings.HasPrefix(name, "-") {
		return nil, usagef("%s stands where a run is named: flags go before --", name)
	}
	name = withoutKind(name, "trainingrun", "trainingruns", "trun")
	id, page := name, ""
	if strings.Contains(name, "://") {
		var ok bool
		if id, page, ok = pageOf(name); !ok {
			return nil, usagef("%s is not the URL of a run's page, which has /runs/ID in it", name)
		}
	}
	if page == "" && !allNamespaces {
		var run v1alpha1.TrainingRun
		err := s.client.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, &run)
		if err == nil {
			return &run, nil
		}
		if !apierrors.IsNotFound(err) && !apierrors.IsInvalid(err) {
			return nil, fmt.Errorf("read TrainingRun %s/%s: %w", s.namespace, name, err)
		}
	}
	runs, err := s.list(ctx, &selection{fields: "spec.runID=" + escapeField(id), allNamespaces: allNamespaces})
	if err != nil {
		return nil, err
	}
	if runs = onPage(runs, page); len(runs) == 0 {
		// The id of a run that spec names by its display name is in the status, which can't be selected by.
		if runs, err = s.list(ctx, &selection{allNamespaces: allNamespaces}); err != nil {
			return nil, err
		}
		runs = onPage(called(runs, name, id), page)
	}
	return s.theOne(runs, name, allNamespaces)
}

// withoutKind takes the kind off a name as -o name has it, such as trainingrun.tracking.runtag.dev/capsules-3f9a1c.
func withoutKind(name string, kinds ...string) string {
	kind, rest, ok := strings.Cut(name, "/")
	if kind, _, _ = strings.Cut(kind, "."); ok && slices.Contains(kinds, kind) {
		return rest
	}
	return name
}

// escapeField writes a value of a field selector.
var fieldEscapes = strings.NewReplacer(`\`, `\\`, `,`, `\,`, `=`, `\=`)

func escapeField(value string) string { return fieldEscapes.Replace(value) }

// called gives the runs with this name or id.
func called(runs []v1alpha1.TrainingRun, name, id string) []v1alpha1.TrainingRun {
	var found []v1alpha1.TrainingRun
	for _, run := range runs {
		if run.Name == name || runID(&run) == id {
			found = append(found, run)
		}
	}
	return found
}

// onPage keeps the runs that have this page; one whose page is not known yet may have it.
func onPage(runs []v1alpha1.TrainingRun, page string) []v1alpha1.TrainingRun {
	var found []v1alpha1.TrainingRun
	for _, run := range runs {
		known := ""
		if run.Status.Run != nil {
			_, known, _ = pageOf(run.Status.Run.URL)
		}
		if page == "" || known == "" || known == page {
			found = append(found, run)
		}
	}
	return found
}

func (s *session) theOne(runs []v1alpha1.TrainingRun, name string, allNamespaces bool) (*v1alpha1.TrainingRun, error) {
	where := "in namespace " + s.namespace
	if allNamespaces {
		where = "in any namespace"
	}
	switch len(runs) {
	case 0:
		return nil, fmt.Errorf("%q: %w %s, by name or by run id: kubectl runtag ls lists them; runs that are not imported are reached with --project", name, errNoRun, where)
	case 1:
		return &runs[0], nil
	}
	var names []string
	for _, run := range runs {
		names = append(names, run.Namespace+"/"+run.Name)
	}
	return nil, usagef("%q is the run of several TrainingRuns: name one of %s", name, strings.Join(names, ", "))
}

// pageOf reads the URL of a run's page, such as https://wandb.ai/acme/capsules/runs/3f9a1c/overview or
// https://mlflow.example/#/experiments/1/runs/3f9a1c: the run's id, and what tells the page from others.
func pageOf(text string) (id, page string, ok bool) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return "", "", false
	}
	fragment, _, _ := strings.Cut(u.Fragment, "?")
	parts := strings.FieldsFunc(u.Path+"/"+fragment, func(r rune) bool { return r == '/' })
	for i := 0; i+1 < len(parts); i++ {
		if parts[i] == "runs" {
			return parts[i+1], strings.ToLower(u.Host) + "/" + strings.Join(parts[:i+2], "/"), true
		}
	}
	return "", "", false
}

// split tells the tags of a command line from the runs. dash is how many arguments stand before "--", or -1: then the
// first is a tag, and those at the end that name runs are runs.
func (s *session) split(ctx context.Context, args []string, dash int, allNamespaces bool) (tags []string, runs []v1alpha1.TrainingRun, err error) {
	first := dash
	if dash < 0 {
		first = 1
	}
	found := make([]v1alpha1.TrainingRun, 0, len(args))
	for i := len(args) - 1; i >= first; i-- {
		run, err := s.find(ctx, args[i], allNamespaces)
		if dash < 0 && i < len(args)-1 && errors.Is(err, errNoRun) {
			first = i + 1
			break
		}
		if err != nil {
			return nil, nil, err
		}
		found = append([]v1alpha1.TrainingRun{*run}, found...)
	}
	for _, tag := range args[1:first] {
		// A run's name that is mistyped must not become a tag.
		if dash < 0 && strings.HasPrefix(tag, found[0].Spec.ProjectRef.Name+"-") {
			return nil, nil, usagef("%q looks like a run, and there is none of that name; if it is a tag, write -- between tags and runs", tag)
		}
	}
	return args[:first], found, nil
}

// named gives the TrainingRuns that are named, or those that the flags select.
func (sel *selection) named(ctx context.Context, s *session, names []string) ([]v1alpha1.TrainingRun, error) {
	switch {
	case sel.given() && len(names) > 0:
		return nil, usagef("name runs, or select them by flags, not both")
	case sel.given():
		return s.list(ctx, sel)
	case len(names) == 0:
		return nil, usagef("say of which runs: name them, or take -l, --with-tag, --without-tag, --state or --all")
	}
	runs := make([]v1alpha1.TrainingRun, 0, len(names))
	for _, name := range names {
		run, err := s.find(ctx, name, sel.allNamespaces)
		if err != nil {
			return nil, err
		}
		runs = append(runs, *run)
	}
	return runs, nil
}
