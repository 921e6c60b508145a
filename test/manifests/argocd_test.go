package manifests_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/kstatus"
)

const (
	settings      = config + "/argocd/argocd-cm.yaml"
	healthKey     = "resource.customizations.health.tracking.runtag.dev_"
	generation    = 3
	runNotFound   = v1alpha1.ReasonRunNotFound
	argoSuspended = "Suspended"
)

var _ = Describe("The settings of Argo CD", Ordered, func() {
	checks := map[string]string{}

	It("get a health check for each of our kinds, and keep the others", func(ctx SpecContext) {
		kubectl(ctx, "", "create", "namespace", "argocd")
		kubectl(ctx, "", "create", "configmap", "argocd-cm", "-n", "argocd", "--from-literal=url=https://argocd.example")
		kubectl(ctx, "", "patch", "configmap", "argocd-cm", "-n", "argocd", "--patch-file", settings)
		data := map[string]string{}
		Expect(json.Unmarshal([]byte(kubectl(ctx, "", "get", "configmap", "argocd-cm", "-n", "argocd", "-o", "jsonpath={.data}")), &data)).To(Succeed())
		Expect(data).To(HaveKeyWithValue("url", "https://argocd.example"))
		delete(data, "url")
		files, err := filepath.Glob(config + "/crd/bases/*.yaml")
		Expect(err).NotTo(HaveOccurred())
		Expect(data).To(HaveLen(len(files)))
		for _, file := range files {
			crd, err := os.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			kind := regexp.MustCompile(`(?m)^    kind: (\w+)$`).FindSubmatch(crd)
			Expect(kind).To(HaveLen(2))
			Expect(data).To(HaveKeyWithValue(healthKey+string(kind[1]), Not(BeEmpty())))
			checks[string(kind[1])] = data[healthKey+string(kind[1])]
		}
	})

	// There is no interpreter here: what the script compares with has to be what we write.
	It("compare with conditions, states and reasons that the operator writes", func() {
		compared := map[string]map[string]bool{"type": {}, "status": {}, "reason": {}}
		for _, script := range checks {
			for _, match := range regexp.MustCompile(`\b\w+\.(type|status|reason) == "(\w+)"`).FindAllStringSubmatch(script, -1) {
				compared[match[1]][match[2]] = true
			}
			given := regexp.MustCompile(`status = "(\w+)"`).FindAllStringSubmatch(script, -1)
			Expect(given).NotTo(BeEmpty())
			for _, match := range given {
				Expect(match[1]).To(BeElementOf("Progressing", "Healthy", "Degraded", argoSuspended), "Argo CD's words")
			}
		}
		Expect(compared).To(Equal(map[string]map[string]bool{
			"type":   {v1alpha1.ConditionReady: true, v1alpha1.ConditionStalled: true},
			"status": {string(metav1.ConditionTrue): true},
			"reason": {runNotFound: true, v1alpha1.ReasonSuspended: true},
		}))
	})

	DescribeTable("read what is in the conditions", func(state kstatus.State, ready metav1.ConditionStatus, stalled bool) {
		var conditions []metav1.Condition
		kstatus.Set(&conditions, generation, state)
		found := map[string]metav1.Condition{}
		for _, c := range conditions {
			found[c.Type] = c
		}
		Expect(found[v1alpha1.ConditionReady].Status).To(Equal(ready))
		Expect(found[v1alpha1.ConditionReady].Reason).To(Equal(state.Reason), "the script reads the reason of Ready")
		Expect(found[v1alpha1.ConditionReady].Message).To(Equal(state.Message))
		Expect(found[v1alpha1.ConditionStalled].Status == metav1.ConditionTrue).To(Equal(stalled))
	},
		Entry("Healthy", kstatus.State{Ready: metav1.ConditionTrue, Reason: v1alpha1.ReasonSynced, Message: "m"}, metav1.ConditionTrue, false),
		Entry("Degraded", kstatus.State{Ready: metav1.ConditionFalse, Reason: v1alpha1.ReasonInvalidTags, Message: "m", Stalled: true}, metav1.ConditionFalse, true),
		Entry(argoSuspended, kstatus.State{Ready: metav1.ConditionFalse, Reason: runNotFound, Message: "m"}, metav1.ConditionFalse, false),
		Entry("Progressing", kstatus.State{Ready: metav1.ConditionUnknown, Reason: v1alpha1.ReasonApplying, Message: "m"}, metav1.ConditionUnknown, false),
	)
})
