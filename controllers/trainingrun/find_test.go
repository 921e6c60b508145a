package trainingrun_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trainingrun"
)

// One index of ids finds the TrainingRuns of a run and those of an incarnation, and no others that have the same id.
func TestRunsAreFoundByIDAndByIncarnation(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	object := func(namespace, name, project, id string, known *v1alpha1.RunStatus) client.Object {
		return &v1alpha1.TrainingRun{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + "-" + name)},
			Spec:       v1alpha1.TrainingRunSpec{ProjectRef: v1alpha1.ProjectReference{Name: project}, RunID: id}, Status: v1alpha1.TrainingRunStatus{Run: known},
		}
	}
	reader := fake.NewClientBuilder().WithScheme(scheme).WithObjects(
		object("a", "new", "p", "1", nil),
		object("a", "known", "p", "1", &v1alpha1.RunStatus{ID: "1", UID: "u1"}),
		object("a", "by-name", "p", "", &v1alpha1.RunStatus{ID: "1", UID: "u1"}),
		object("a", "other-project", "q", "1", &v1alpha1.RunStatus{ID: "1", UID: "u2"}),
		object("b", "other-namespace", "p", "1", &v1alpha1.RunStatus{ID: "1", UID: "u1"}),
		object("b", "restored", "p", "2", &v1alpha1.RunStatus{ID: "1", UID: "u1"}), // a status of another object
		object("b", "unknown", "p", "3", &v1alpha1.RunStatus{ID: "3"}),
	)
	for field, extract := range indexes(t) {
		reader.WithIndex(&v1alpha1.TrainingRun{}, field, extract)
	}
	cluster := reader.Build()
	names := func(found []*v1alpha1.TrainingRun, err error) (names []string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		for _, run := range found {
			names = append(names, run.Namespace+"/"+run.Name)
		}
		return names
	}
	for reason, c := range map[string]struct{ got, want []string }{
		"a run of a namespace's project":   {names(trainingrun.OfRun(t.Context(), cluster, "a", "p", "1")), []string{"a/by-name", "a/known", "a/new"}},
		"a run whose status is another's":  {names(trainingrun.OfRun(t.Context(), cluster, "b", "p", "2")), []string{"b/restored"}},
		"no id":                            {names(trainingrun.OfRun(t.Context(), cluster, "a", "p", "")), nil},
		"an incarnation in all namespaces": {names(trainingrun.OfIncarnation(t.Context(), cluster, "1", "u1")), []string{"a/by-name", "a/known", "b/other-namespace", "b/restored"}},
		"an incarnation under the same id": {names(trainingrun.OfIncarnation(t.Context(), cluster, "1", "u2")), []string{"a/other-project"}},
		"no uid":                           {names(trainingrun.OfIncarnation(t.Context(), cluster, "3", "")), nil},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", reason, diff)
		}
	}
}

type indexed map[string]client.IndexerFunc

func (x indexed) IndexField(_ context.Context, _ client.Object, field string, extract client.IndexerFunc) error {
	x[field] = extract
	return nil
}

func indexes(t *testing.T) indexed {
	t.Helper()
	x := indexed{}
	if err := trainingrun.AddIndexes(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	return x
}
