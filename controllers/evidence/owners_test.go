package evidence_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	feed "github.com/runtag/runtag/controllers/evidence"
	"github.com/runtag/runtag/internal/evidence"
)

// asking are Owners at work.
type asking struct {
	*feed.Owners
	mu  sync.Mutex
	log strings.Builder
}

func (a *asking) logged() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.log.String()
}

func (w *world) ask(t *testing.T, cfg *rest.Config, store *evidence.Store, ticks clock.WithTicker, wanted func(string) bool) *asking {
	t.Helper()
	meta, err := metadata.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(w.plane.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	mapper, err := apiutil.NewDynamicRESTMapper(w.plane.RESTConfig(), client)
	if err != nil {
		t.Fatal(err)
	}
	a := &asking{}
	a.Owners = feed.NewOwners(feed.OwnersOptions{
		Metadata: meta, Mapper: mapper, Store: store, Wanted: wanted, Clock: ticks,
		Log: funcr.New(func(_, args string) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.log.WriteString(args + "\n")
		}, funcr.Options{}),
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the owners ended with %v", err)
		}
	})
	return a
}

// job makes one that names a run, or not, and may belong to a CronJob.
func (w *world) job(t *testing.T, namespace, name, run string, owners ...metav1.OwnerReference) metav1.OwnerReference {
	t.Helper()
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: owners}, Spec: jobSpec()}
	if run != "" {
		job.Labels = map[string]string{"wandb.ai/run-id": run}
	}
	job, err := w.core.BatchV1().Jobs(namespace).Create(t.Context(), job, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return owner("batch/v1", "Job", name, job.UID)
}

func jobSpec() batchv1.JobSpec {
	return batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "main", Image: "image"}},
	}}}
}

func owner(apiVersion, kind, name string, uid types.UID) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: apiVersion, Kind: kind, Name: name, UID: uid, Controller: ptr.To(true)}
}

func asksOwners(t *testing.T, w *world) {
	g := NewWithT(t)
	w.namespace(t, "owners")
	w.namespace(t, "unwanted")
	cron := &batchv1.CronJob{
		ObjectMeta: metav1.ObjectMeta{Name: "c", Labels: map[string]string{"wandb.ai/run-id": "of-cron"}},
		Spec:       batchv1.CronJobSpec{Schedule: "0 0 1 1 *", JobTemplate: batchv1.JobTemplateSpec{Spec: jobSpec()}},
	}
	cron, err := w.core.BatchV1().CronJobs("owners").Create(t.Context(), cron, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f := w.start(t, nil, nil)
	first := w.pod(t, "owners", "first", w.job(t, "owners", "j", "x"))
	elsewhere := w.pod(t, "unwanted", "p", w.job(t, "unwanted", "j", "x"))
	seen := func(pod *corev1.Pod) func() []string {
		return func() []string {
			if p := f.Pod(pod.UID); p != nil {
				return p.OwnerRuns
			}
			return nil
		}
	}
	for _, pod := range []*corev1.Pod{first, elsewhere} {
		g.Eventually(func() *evidence.Pod { return f.Pod(pod.UID) }, patience).ShouldNot(BeNil())
	}
	var mu sync.Mutex
	wanted := map[string]bool{"owners": true}
	ticks := clocktesting.NewFakeClock(time.Now())
	a := w.ask(t, w.plane.RESTConfig(), f.Store, ticks, func(namespace string) bool {
		mu.Lock()
		defer mu.Unlock()
		return wanted[namespace]
	})
	g.Eventually(seen(first), patience).Should(Equal([]string{"x"}), "a pod that was there before")

	second := w.pod(t, "owners", "second", w.job(t, "owners", "of-c", "", owner("batch/v1", "CronJob", "c", cron.UID)))
	unknown := w.pod(t, "owners", "unknown", owner("void.example/v1", "Void", "v", "void"))
	renewed := w.pod(t, "owners", "renewed", owner("batch/v1", "Job", "j", "another-uid"))
	for _, pod := range []*corev1.Pod{second, unknown, renewed} {
		g.Eventually(func() *evidence.Pod { return f.Pod(pod.UID) }, patience).ShouldNot(BeNil())
		a.Changed(evidence.Change{Pods: []*evidence.Pod{f.Pod(pod.UID)}, Before: []*evidence.Pod{nil}})
	}
	g.Eventually(seen(second), patience).Should(Equal([]string{"of-cron"}), "an owner of the owner")
	g.Eventually(func() bool { return f.KnowsOwner("void") && f.KnowsOwner("another-uid") }, patience).Should(BeTrue())
	g.Expect(f.Pod(unknown.UID).OwnerRuns).To(BeEmpty())
	g.Expect(f.Pod(renewed.UID).OwnerRuns).To(BeEmpty(), "another object of that name is no owner")
	g.Expect(f.Pod(elsewhere.UID).OwnerRuns).To(BeEmpty())
	g.Expect(a.logged()).To(BeEmpty())

	mu.Lock()
	wanted["unwanted"] = true
	mu.Unlock()
	ticks.Step(5 * time.Minute)
	g.Eventually(seen(elsewhere), patience).Should(Equal([]string{"x"}), "its namespace became wanted")
	w.asksWhatItMay(t, f)
}

// asksWhatItMay finds that what is forbidden is said once, is no error, and is asked again later.
func (w *world) asksWhatItMay(t *testing.T, f *fed) {
	g := NewWithT(t)
	cfg, err := w.plane.ConfigFor(t.Context(), "owners", "default")
	if err != nil {
		t.Fatal(err)
	}
	pods := []*corev1.Pod{}
	for _, name := range []string{"a", "b", "c"} {
		pods = append(pods, w.pod(t, "owners", "forbidden-"+name, w.job(t, "owners", name, "run-"+name)))
	}
	for _, pod := range pods {
		g.Eventually(func() *evidence.Pod { return f.Pod(pod.UID) }, patience).ShouldNot(BeNil())
	}
	ticks, days := clocktesting.NewFakeClock(time.Now()), clocktesting.NewFakeClock(time.Now())
	fresh := evidence.New(evidence.Options{Clock: days})
	for _, pod := range pods {
		fresh.SeePod(evidence.PodOf(pod))
	}
	a := w.ask(t, cfg, fresh, ticks, func(string) bool { return true })
	for _, pod := range pods {
		g.Eventually(func() bool { return fresh.KnowsOwner(pod.OwnerReferences[0].UID) }, patience).Should(BeTrue())
	}
	g.Expect(strings.Count(a.logged(), "passed over")).To(Equal(1), a.logged())

	role := metav1.ObjectMeta{Name: "jobs", Namespace: "owners"}
	rules := []rbacv1.PolicyRule{{APIGroups: []string{"batch"}, Resources: []string{"jobs"}, Verbs: []string{"get"}}}
	if _, err := w.core.RbacV1().Roles("owners").Create(t.Context(), &rbacv1.Role{ObjectMeta: role, Rules: rules}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	grant := &rbacv1.RoleBinding{
		ObjectMeta: role, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "jobs"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "default", Namespace: "owners"}},
	}
	if _, err := w.core.RbacV1().RoleBindings("owners").Create(t.Context(), grant, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	g.Eventually(func() []string {
		ticks.Step(10 * time.Minute)
		return fresh.Pod(pods[0].UID).OwnerRuns
	}, patience).Should(Equal([]string{"run-a"}), "the role allows it since")

	for _, pod := range pods {
		fresh.GonePod(pod.UID)
	}
	days.Step(evidence.Keep + time.Hour) // and no tick, with which all pods would be gone through
	fresh.SeePod(&evidence.Pod{UID: "other"})
	g.Expect(fresh.KnowsOwner(pods[0].OwnerReferences[0].UID)).To(BeFalse(), "its pods are forgotten")
	late := evidence.PodOf(pods[0])
	late.UID = "late"
	fresh.SeePod(late)
	a.Changed(evidence.Change{Pods: []*evidence.Pod{late}, Before: []*evidence.Pod{nil}})
	g.Eventually(func() []string { return fresh.Pod("late").OwnerRuns }, patience).Should(Equal([]string{"run-a"}), "a late pod of an owner")
}
