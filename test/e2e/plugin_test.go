package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/controlplane"
)

// What people do with kubectl runtag, which kubectl starts as it starts any plugin.
var _ = Describe("kubectl runtag", Ordered, ContinueOnFailure, func() {
	viewer, editor, admin := newPerson("viewer", "runtag-viewer"), newPerson("editor", "runtag-editor"), newPerson("admin", "runtag-admin")
	// What the cluster's own role view has of its own, without what is aggregated to it.
	lister := newPerson("lister", "runtag-editor", "system:aggregate-to-view")
	BeforeAll(func(ctx SpecContext) {
		startManager(ctx)
		for _, p := range []*person{viewer, editor, admin, lister} {
			p.comes(ctx)
		}
	})
	retagSpecs(onWandb, editor)
	wrongRuleSpecs(onWandb, 2000, editor)
	wrongRuleSpecs(onMLflow, 100, editor)
	for _, t := range trackers {
		Context("on "+t.name(), func() {
			roleSpecs(t, viewer, editor, admin)
			listSpecs(t, editor, lister)
			firstDaySpecs(t, editor, admin)
			whySpecs(t, viewer)
			foretoldSpecs(t, editor)
		})
	}
})

// person is somebody who has some roles in the scenes' namespace, and no other.
type person struct {
	name       string
	roles      []string
	kubeconfig string
}

func newPerson(name string, roles ...string) *person { return &person{name: name, roles: roles} }

// comes gives the person an account.
func (p *person) comes(ctx context.Context) {
	GinkgoHelper()
	Expect(suite.client.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: p.name}})).To(Succeed())
	for _, role := range p.roles {
		Expect(suite.client.Create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: p.name + "-" + role},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: p.name}},
		})).To(Succeed())
	}
	config, err := suite.plane.ConfigFor(ctx, namespace, p.name)
	Expect(err).NotTo(HaveOccurred())
	p.kubeconfig = filepath.Join(suite.dir, p.name+".kubeconfig")
	Expect(controlplane.WriteKubeconfig(p.kubeconfig, config)).To(Succeed())
}

// said is what came of a command.
type said struct {
	code     int
	out, err string
}

func (s said) String() string { return fmt.Sprintf("exit code %d\n%s%s", s.code, s.out, s.err) }

// types has kubectl do something in the scenes' namespace. Nobody answers what it asks.
func (p *person) types(ctx context.Context, args ...string) said {
	GinkgoHelper()
	command := exec.CommandContext(ctx, suite.plane.Kubectl(), args...)
	command.Env = []string{
		"HOME=" + suite.dir, "KUBECONFIG=" + p.kubeconfig, "PATH=" + filepath.Dir(binary("kubectl-runtag")) + string(os.PathListSeparator) + os.Getenv("PATH"),
	}
	var out, err strings.Builder
	command.Stdout, command.Stderr = &out, &err
	failed := command.Run()
	var exit *exec.ExitError
	if !errors.As(failed, &exit) {
		Expect(failed).NotTo(HaveOccurred())
	}
	result := said{code: command.ProcessState.ExitCode(), out: out.String(), err: err.String()}
	GinkgoWriter.Printf("$ kubectl %s\n%s", strings.Join(args, " "), result)
	expectNoCanary("kubectl "+strings.Join(args, " "), result.String())
	return result
}

// runtag is kubectl runtag in the scenes' namespace.
func (p *person) runtag(ctx context.Context, args ...string) said {
	GinkgoHelper()
	return p.types(ctx, append([]string{"runtag", "-n", namespace}, args...)...)
}

// does runs a command that has to end well, and gives what it printed.
func (p *person) does(ctx context.Context, args ...string) said {
	GinkgoHelper()
	result := p.runtag(ctx, args...)
	Expect(result.code).To(BeZero(), result.String)
	return result
}

// expectRefused expects that a person may not do something, that it is said what, and what role is missing.
func (p *person) expectRefused(ctx context.Context, what, role string, args ...string) {
	GinkgoHelper()
	result := p.runtag(ctx, args...)
	Expect(result.code).To(Equal(1), result.String)
	Expect(result.err).To(And(ContainSubstring(what), ContainSubstring("ask for the role runtag-"+role)), result.String)
}

// retagSpecs are about runs that somebody tagged on the tracker's page, few of which Kubernetes mirrors.
func retagSpecs(t *wandb, editor *person) {
	It("tags 300 runs of the tracker of which 40 are mirrored, and takes it back", func(ctx SpecContext) {
		s := newScene(ctx, t)
		active, old := t.many(ctx, s.project, 40), t.manyFinished(s.project, 260)
		all := slices.Concat(active, old)
		each(all, func(id string) { t.add(ctx, runRef{s.project, id}, "sweep") })
		each(active, func(id string) { s.create(ctx, s.run(id)) })
		mirrored := func(want labels) {
			GinkgoHelper()
			Eventually(func(g Gomega) {
				runs := s.runs(ctx)
				g.Expect(runs).To(HaveLen(40))
				for i := range runs {
					g.Expect(labelsOf(&runs[i])).To(Equal(want))
				}
			}).WithPolling(pollMany).Should(Succeed(), s.explain(ctx))
		}
		mirrored(labels{"sweep": "run"})

		add := []string{"add", "reviewed", "--project", s.project, "--with-tag", "sweep"}
		asked := editor.runtag(ctx, add...)
		Expect(asked.code).To(Equal(2), asked.String)
		Expect(asked.err).To(ContainSubstring("take --yes"))

		mark := t.traffic().mark()
		done := editor.does(ctx, append(add, "--yes")...)
		Expect(done.err).To(ContainSubstring("300 runs, 40 of them mirrored; tags of 300 runs would change"))
		change := regexp.MustCompile(`^tags of 300 runs changed by TagChange (\S+); take it back: kubectl runtag undo (\S+) -n ` + namespace + "\n$").FindStringSubmatch(done.out)
		Expect(change).NotTo(BeNil(), done.String)
		s.expectAll(ctx, all, "reviewed", "sweep")
		Expect(writtenBy(t.traffic().since(mark, write))).To(ConsistOf(toAny(slices.Sorted(slices.Values(all)))...), "each is written to once")
		mirrored(labels{"reviewed": "run", "sweep": "run"})

		editor.does(ctx, "rename", "sweep", "study", "--project", s.project, "--all", "--yes")
		s.expectAll(ctx, all, "reviewed", "study")
		undone := editor.does(ctx, "undo", change[2], "--yes")
		Expect(undone.out).To(ContainSubstring("tags of 300 runs changed"), undone.String)
		s.expectAll(ctx, all, "study")
		mirrored(labels{"study": "run"})
	})
}

// writtenBy lists the runs of some writes.
func writtenBy(writes []request) (ids []string) {
	for _, w := range writes {
		ids = append(ids, strings.Split(w.about, ",")...)
	}
	slices.Sort(ids)
	return ids
}

// roleSpecs are about what each role may do, and what the others are told.
func roleSpecs(t tracker, viewer, editor, admin *person) {
	It("lets viewers look, editors tag, and admins configure, and tells each what is missing", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run := s.train(ctx, "foreign")
		name := s.declare(ctx, run)
		s.expectReady(ctx, name)
		s.expectStatusTags(ctx, name, "foreign (Run)")

		By("a viewer")
		Expect(viewer.does(ctx, "ls", "--with-tag", "foreign").out).To(ContainSubstring(name))
		Expect(viewer.does(ctx, "tags", s.project).out).To(ContainSubstring("foreign"))
		Expect(viewer.does(ctx, "why", name).out).To(ContainSubstring("foreign"))
		viewer.does(ctx, "export", name)
		viewer.expectRefused(ctx, "cannot patch resource", "editor", "add", "ours", name)
		viewer.expectRefused(ctx, "cannot patch resource", "editor", "rm", "foreign", name)
		viewer.expectRefused(ctx, "cannot create resource", "editor", "add", "ours", "--project", s.project, "--all", "--yes")
		viewer.expectRefused(ctx, "cannot create resource", "editor", "ls", "--project", s.project)
		s.expectLooks(ctx, 2)
		s.expectTagsOnTracker(ctx, run, "foreign")

		By("an editor")
		editor.does(ctx, "add", "ours", run.id, "--wait")
		s.expectTagsOnTracker(ctx, run, "foreign", "ours")
		editor.does(ctx, "rm", "foreign", name, "--wait")
		s.expectTagsOnTracker(ctx, run, "ours")
		editor.does(ctx, "add", "swept", "--project", s.project, "--all", "--yes")
		Eventually(func() []string { return t.tags(ctx, run) }).Should(ConsistOf("ours", "swept"), s.explain(ctx))
		suspend := []string{"-n", namespace, "patch", "trackingproject", s.project, "--type=merge", "-p", `{"spec":{"maxTagPolicy":"Add"}}`}
		refused := editor.types(ctx, suspend...)
		Expect(refused.code).To(Equal(1), refused.String)
		Expect(refused.err).To(ContainSubstring("cannot patch resource"))

		By("an admin")
		Expect(admin.types(ctx, suspend...).code).To(BeZero())
		Expect(admin.types(ctx, "-n", namespace, "get", "secret", t.secret().Name).code).To(Equal(1), "the key stays with the operator")
		s.expectProject(ctx, metav1.ConditionTrue, v1alpha1.ReasonLooking)
		kept := admin.runtag(ctx, "rm", "swept", name)
		Expect(kept.code).To(Equal(1), kept.String)
		Expect(kept.err).To(ContainSubstring("swept stays: the policy Add takes no tags off"), kept.String)
		s.expectTagsOnTracker(ctx, run, "ours", "swept")
	})
}

// listSpecs are about runs that only the tracker has.
func listSpecs(t tracker, editor, lister *person) {
	It("lists and counts the tracker's runs for who may read ConfigMaps, and leaves nothing behind", func(ctx SpecContext) {
		s := newScene(ctx, t)
		tagged, other := s.train(ctx, "baseline"), s.train(ctx)
		s.declare(ctx, other)
		before := s.tagChanges(ctx)
		refused := editor.runtag(ctx, "ls", "--project", s.project)
		Expect(refused.code).To(Equal(1), refused.String)
		Expect(refused.err).To(And(ContainSubstring("cannot get resource"), ContainSubstring("configmaps")), refused.String)

		Expect(lister.does(ctx, "ls", "--project", s.project, "--with-tag", "baseline", "-o", "name").out).To(Equal(tagged.id + "\n"))
		all := lister.does(ctx, "ls", "--project", s.project).out
		Expect(all).To(And(ContainSubstring(tagged.id), ContainSubstring(other.id), ContainSubstring("baseline")))
		Expect(lister.does(ctx, "tags", s.project, "--all").out).To(MatchRegexp(`(?m)^baseline +1\b`))
		Expect(s.tagChanges(ctx)).To(Equal(before), "queries are deleted when they are answered")
	})
}

// tagChanges names those of the scenes' namespace.
func (s *scene) tagChanges(ctx context.Context) []string {
	GinkgoHelper()
	return strings.Fields(kubectl(ctx, "--namespace", s.namespace, "get", "tagchanges", "-o", "name"))
}

// firstDaySpecs are about a project that is only watched at first.
func firstDaySpecs(t tracker, editor, admin *person) {
	It("says on the first day what would be written, before anything is", func(ctx SpecContext) {
		s := newScene(ctx, t, upTo(v1alpha1.TagPolicyObserve))
		run := s.train(ctx, "debug", "foreign")
		mark := t.traffic().mark()
		declared := s.run(run.id, "ours")
		declared.Spec.ExcludeTags = []string{"debug"}
		name := s.create(ctx, declared)
		s.expectPending(ctx, name, []string{"ours"}, []string{"debug"})

		planned := editor.does(ctx, "plan", s.project)
		Expect(planned.out).To(And(ContainSubstring("ours"), ContainSubstring("debug"), ContainSubstring("Observe")), planned.String)
		Expect(planned.out).NotTo(ContainSubstring("foreign"))
		s.expectLooks(ctx, 2)
		s.expectNothingWritten(mark)

		raised := admin.types(ctx, "-n", namespace, "patch", "trackingproject", s.project, "--type=merge", "-p", `{"spec":{"maxTagPolicy":"Merge"}}`)
		Expect(raised.code).To(BeZero(), raised.String)
		s.expectTagsOnTracker(ctx, run, "foreign", "ours")
		s.expectReady(ctx, name)
		after := editor.does(ctx, "plan", s.project)
		Expect(after.out).NotTo(Or(ContainSubstring("ours"), ContainSubstring("debug")), after.String)
	})
}

// whySpecs are about what is told of a run that much happened to.
func whySpecs(t tracker, viewer *person) {
	It("tells the last 10 of 12 changes, and where the older ones are", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run := s.train(ctx)
		name := s.declare(ctx, run, "change-1")
		for i := range 11 { // each a tag that is put on: with the first one, 12
			s.expectReady(ctx, name)
			s.change(ctx, name, func(r *v1alpha1.TrainingRun) { r.Spec.Tags = append(r.Spec.Tags, fmt.Sprintf("change-%d", i+2)) })
			s.expectApplied(ctx, name, s.get(ctx, name).Spec.Tags...)
		}
		s.expectReady(ctx, name)
		Expect(s.get(ctx, name).Status.History).To(HaveLen(10))

		told := viewer.does(ctx, "why", run.id)
		_, history, found := strings.Cut(told.out, "CHANGED")
		Expect(found).To(BeTrue(), told.String)
		for i := range 12 {
			tag := regexp.MustCompile(fmt.Sprintf(`Added +change-%d +.*spec`, i+1))
			Expect(tag.MatchString(history)).To(Equal(i >= 2), "change-%d in %s", i+1, history)
		}
		Expect(history).To(MatchRegexp(`older changes are in the operator's audit log:\n.*kubectl logs .*` + regexp.QuoteMeta(name)))

		By("one tag, and one that somebody took off on the page")
		t.remove(ctx, run, "change-1")
		s.expectTagsOnTracker(ctx, run, s.get(ctx, name).Spec.Tags...)
		Expect(viewer.does(ctx, "why", name, "change-12").out).To(And(ContainSubstring("on the run"), ContainSubstring("spec.tags"), Not(ContainSubstring("change-2"))))
		Expect(viewer.does(ctx, "why", name, "nobody-knows").out).To(ContainSubstring("nobody declares it"))
	})
}
