package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/runtag/runtag/api/v1alpha1"
)

// How often the specs' projects are looked at.
const (
	interval     = time.Second
	fullInterval = 5 * time.Second
	// pollMany is how often specs with many runs ask for all of them.
	pollMany = 500 * time.Millisecond
)

// scene is a project of its own for one spec: on the tracker, and as a TrackingProject of the same name.
type scene struct {
	tracker   tracker
	namespace string
	project   string
}

var scenes int

// newScene makes both; changes are made to the TrackingProject before it is created.
func newScene(ctx context.Context, t tracker, changes ...func(*v1alpha1.TrackingProject)) *scene {
	GinkgoHelper()
	return newSceneIn(ctx, t, namespace, changes...)
}

func newSceneIn(ctx context.Context, t tracker, in string, changes ...func(*v1alpha1.TrackingProject)) *scene {
	GinkgoHelper()
	scenes++
	s := &scene{tracker: t, namespace: in, project: fmt.Sprintf("%s-%d", t.name(), scenes)}
	t.newProject(ctx, s.project)
	project := &v1alpha1.TrackingProject{ObjectMeta: metav1.ObjectMeta{Namespace: in, Name: s.project}, Spec: t.spec(s.project)}
	project.Spec.Interval.Duration, project.Spec.FullInterval.Duration = interval, fullInterval
	for _, change := range changes {
		change(project)
	}
	Expect(suite.client.Create(ctx, project)).To(Succeed())
	DeferCleanup(s.rest)
	return s
}

// rest ends all requests for the scene. Its objects stay, to be searched for secrets.
func (s *scene) rest(ctx SpecContext) {
	project := &v1alpha1.TrackingProject{}
	err := suite.client.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: s.project}, project)
	if apierrors.IsNotFound(err) { // by the spec itself
		return
	}
	Expect(err).NotTo(HaveOccurred())
	s.changeProject(ctx, func(p *v1alpha1.TrackingProject) { p.Spec.Suspend = true })
}

// train begins a run on the tracker.
func (s *scene) train(ctx context.Context, tags ...string) runRef {
	GinkgoHelper()
	return runRef{s.project, s.tracker.train(ctx, s.project, "a run of "+s.project, tags...)}
}

// run is a TrainingRun of the scene, named after the run's id.
func (s *scene) run(id string, tags ...string) *v1alpha1.TrainingRun {
	return &v1alpha1.TrainingRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: objectName(s.project, id)},
		Spec:       v1alpha1.TrainingRunSpec{ProjectRef: v1alpha1.ProjectReference{Name: s.project}, RunID: id, Tags: tags},
	}
}

func objectName(project, id string) string { return strings.ToLower(project + "-" + id) }

// declare creates a TrainingRun for a run, and gives its name.
func (s *scene) declare(ctx context.Context, ref runRef, tags ...string) string {
	GinkgoHelper()
	return s.create(ctx, s.run(ref.id, tags...))
}

func (s *scene) create(ctx context.Context, run *v1alpha1.TrainingRun) string {
	GinkgoHelper()
	Expect(suite.client.Create(ctx, run)).To(Succeed())
	return run.Name
}

// change edits a TrainingRun.
func (s *scene) change(ctx context.Context, name string, edit func(*v1alpha1.TrainingRun)) {
	GinkgoHelper()
	run := s.get(ctx, name)
	before := run.DeepCopy()
	edit(run)
	Expect(suite.client.Patch(ctx, run, client.MergeFrom(before))).To(Succeed())
}

// redeclare replaces spec.tags.
func (s *scene) redeclare(ctx context.Context, name string, tags ...string) {
	GinkgoHelper()
	s.change(ctx, name, func(r *v1alpha1.TrainingRun) { r.Spec.Tags = tags })
}

func (s *scene) changeProject(ctx context.Context, edit func(*v1alpha1.TrackingProject)) {
	GinkgoHelper()
	project := s.getProject(ctx)
	before := project.DeepCopy()
	edit(project)
	Expect(suite.client.Patch(ctx, project, client.MergeFrom(before))).To(Succeed())
}

func (s *scene) get(ctx context.Context, name string) *v1alpha1.TrainingRun {
	GinkgoHelper()
	run := &v1alpha1.TrainingRun{}
	Expect(suite.client.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, run)).To(Succeed())
	return run
}

func (s *scene) getProject(ctx context.Context) *v1alpha1.TrackingProject {
	GinkgoHelper()
	project := &v1alpha1.TrackingProject{}
	Expect(suite.client.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: s.project}, project)).To(Succeed())
	return project
}

// runs lists the scene's TrainingRuns.
func (s *scene) runs(ctx context.Context) []v1alpha1.TrainingRun {
	GinkgoHelper()
	var list v1alpha1.TrainingRunList
	Expect(suite.client.List(ctx, &list, client.InNamespace(s.namespace), client.MatchingFields{"spec.projectRef.name": s.project})).To(Succeed())
	return list.Items
}

// exists says whether a TrainingRun is still there.
func (s *scene) exists(ctx context.Context, name string) (bool, error) {
	err := suite.client.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, &v1alpha1.TrainingRun{})
	return err == nil, client.IgnoreNotFound(err)
}

func (s *scene) deleteObject(ctx context.Context, name string) {
	GinkgoHelper()
	Expect(suite.client.Delete(ctx, s.get(ctx, name))).To(Succeed())
}

// state is the whole scene for a failure message: the objects' YAML, what was sent to the tracker, and the end of the
// manager's log.
func (s *scene) state(ctx context.Context) string {
	var out strings.Builder
	var projects v1alpha1.TrackingProjectList
	Expect(suite.client.List(ctx, &projects, client.InNamespace(s.namespace), client.MatchingFields{"metadata.name": s.project})).To(Succeed())
	for _, project := range projects.Items {
		fmt.Fprintf(&out, "# TrackingProject\n%s", asYAML(&project))
	}
	runs := s.runs(ctx)
	for _, run := range runs[:min(len(runs), 5)] {
		fmt.Fprintf(&out, "# TrainingRun (on the tracker: %v)\n%s", s.tracker.tags(ctx, s.ref(&run)), asYAML(&run))
	}
	fmt.Fprintf(&out, "# the last requests to the tracker\n%s\n", s.tracker.traffic().tail())
	for _, path := range everyLog[max(0, len(everyLog)-2):] {
		fmt.Fprintf(&out, "# the end of %s\n%s\n", path, tail(path))
	}
	return out.String()
}

func (s *scene) ref(run *v1alpha1.TrainingRun) runRef {
	if run.Spec.RunID != "" || run.Status.Run == nil {
		return runRef{s.project, run.Spec.RunID}
	}
	return runRef{s.project, run.Status.Run.ID}
}

func asYAML(object client.Object) string {
	object.SetManagedFields(nil)
	text, err := yaml.Marshal(object)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// explain is state for a wait that fails.
func (s *scene) explain(ctx context.Context) func() string {
	return func() string { return s.state(ctx) }
}

// expectGone waits for a TrainingRun to be deleted.
func (s *scene) expectGone(ctx context.Context, name string) {
	GinkgoHelper()
	Eventually(func() (bool, error) { return s.exists(ctx, name) }).Should(BeFalse(), s.explain(ctx))
}
