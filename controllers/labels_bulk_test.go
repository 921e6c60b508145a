package controllers_test

import (
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/mirror"
)

var _ = Describe("Labels of 300 objects at once", func() {
	const objects, tagged = 300, 40

	It("land on their runs in batches, and go so", func(ctx SpecContext) {
		start(ctx, controllerstest.Options{})
		all := make([]client.Object, objects)
		for i := range all {
			id := fmt.Sprintf("r%03d", i)
			switch {
			case i < tagged/2: // on the run already
				h.AddRun(id, "x")
			default:
				h.AddRun(id)
			}
			run := h.NewRun(id)
			run.Labels = labels{"sweep": "s1"}
			if i >= tagged/2 && i < tagged { // declared already
				run.Labels[mirror.TagPrefix+"x"] = ""
			}
			all[i] = run
		}
		apply(append([]client.Object{h.NewProject()}, all...)...)

		bulk := func(args ...string) {
			GinkgoHelper()
			a := h.During(func() {
				kubectl(append([]string{"label", "--overwrite", "trainingrun", "-l", "sweep=s1"}, args...)...)
				h.Settle()
			})
			Expect(a.Requests).To(HaveKeyWithValue(controllerstest.OpWrite, BeNumerically("<=", (objects+99)/100)))
			Expect(a.Requests).To(HaveKeyWithValue(controllerstest.OpList, BeNumerically("<=", (objects+99)/100+1))) // a look may be due just then
			Expect(a.Requests).To(HaveLen(2))
			counts := map[string]int{}
			for _, w := range a.Writes {
				counts[w.Key.Name]++
			}
			for name, n := range counts {
				Expect(n).To(BeNumerically("<=", 3), "API writes for %s", name)
			}
			h.ExpectQuiet(period)
		}
		bulk("tag.runtag.dev/x=")
		for _, run := range all {
			h.ExpectTagsOn(run.GetName(), "x")
		}
		Expect(kubectl("get", "trun", "-l", "tag.runtag.dev/x", "-o", "name")).To(HaveLen(len("trainingrun.tracking.runtag.dev/r000\n") * objects))

		bulk("tag.runtag.dev/x-", "tag.runtag.dev/y=")
		for _, run := range all {
			h.ExpectTagsOn(run.GetName(), "y")
		}
		Expect(kubectl("get", "trun", "-l", "tag.runtag.dev/x", "-o", "name")).NotTo(ContainSubstring("r0"))
	})
})
