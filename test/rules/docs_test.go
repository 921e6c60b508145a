package rules

import (
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/evidence"
	"github.com/runtag/runtag/internal/rules"
)

const document = "../../docs/rules.md"

// block is a manifest of the document, and the heading that it is below.
type block struct {
	heading string
	kind    string
	rule    v1alpha1.ClusterTagRule
}

// blocks reads all manifests of the document, and of those below Cookbook only where asked.
func blocks(t *testing.T) (all, cookbook []block) {
	t.Helper()
	raw, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	var heading string
	var inside *strings.Builder
	recipes := false
	for line := range strings.Lines(string(raw)) {
		text := strings.TrimRight(line, "\n")
		switch {
		case inside == nil && text == "```yaml":
			inside = &strings.Builder{}
		case inside != nil && text == "```":
			b := manifest(t, heading, inside.String())
			all = append(all, b)
			if recipes {
				cookbook = append(cookbook, b)
			}
			inside = nil
		case inside != nil:
			inside.WriteString(line)
		case strings.HasPrefix(text, "#"):
			heading = strings.TrimLeft(text, "# ")
			recipes = recipes || heading == "Cookbook"
		}
	}
	return all, cookbook
}

func manifest(t *testing.T, heading, text string) block {
	t.Helper()
	b := block{heading: heading}
	if err := yaml.UnmarshalStrict([]byte(text), &b.rule); err != nil {
		t.Fatalf("the manifest below %q: %v", heading, err)
	}
	b.kind = b.rule.Kind
	if b.kind != "TagRule" && b.kind != "ClusterTagRule" || b.kind == "TagRule" != (b.rule.Namespace != "") {
		t.Fatalf("the manifest below %q is a %s in namespace %q", heading, b.kind, b.rule.Namespace)
	}
	return b
}

func (b block) program(t *testing.T) *rules.Program {
	t.Helper()
	return compile(t, specOf(b.kind, b.rule.Name, b.rule.Spec.TagRuleSpec))
}

func TestEachManifestOfTheDocumentCompiles(t *testing.T) {
	all, cookbook := blocks(t)
	for _, b := range all {
		b.program(t)
	}
	if len(all) != 12 || len(cookbook) != 10 {
		t.Errorf("the document has %d manifests, and %d recipes", len(all), len(cookbook))
	}
}

// serving is a run as a recipe sees it, and the tags that it gets.
type serving struct {
	reason string
	in     rules.Input
	want   []string
}

// recipes are the runs for each recipe, by its heading.
func recipes(t *testing.T) map[string][]serving {
	on := func(nodes ...string) rules.Input {
		var pods []rules.Linked
		for _, node := range nodes {
			pods = append(pods, linked(t, "running", node))
		}
		return world(pods)
	}
	with := func(in rules.Input, change func(*rules.Input)) rules.Input {
		change(&in)
		return in
	}
	metric := func(name string, value float64) func(*rules.Input) {
		return func(in *rules.Input) { in.Run.Summary = map[string]float64{name: value} }
	}
	finished := func(in *rules.Input) { in.Run.State, in.Ended = "finished", true }
	waited := func(minutes int) func(*rules.Input) {
		return func(in *rules.Input) {
			pod := *in.Pods[0].Pod
			pod.CreatedAt = pod.StartedAt.Add(-time.Duration(minutes) * time.Minute)
			in.Pods[0].Pod = &pod
		}
	}
	return map[string][]serving{
		"Zone": {
			{"a node has a zone", on("eks-spot"), []string{"zone-eu-west-1b"}},
			{"a gang has all of its zones, once each", on("eks-spot", "gke-spot", "eks-on-demand"), []string{"zone-eu-west-1b", "zone-europe-west4-a"}},
			{"a node without the label has none, and no tag ends in nothing", with(on("eks-spot"), withoutLabel("topology.kubernetes.io/zone")), nil},
			{"nothing is known without pods", world(nil), nil},
		},
		"Instance type": {
			{"a node has a type", on("aks-spot"), []string{"Standard_NC24ads_A100_v4"}},
			{"a node without the label has none", with(on("aks-spot"), withoutLabel("node.kubernetes.io/instance-type")), nil},
		},
		"GPU model": {
			{"GPU feature discovery says", on("nvsentinel"), []string{"gpu-nvidia-h100-80gb-hbm3"}},
			{"GKE says; another node of the run has no GPU", on("gke-standard", "capi-worker"), []string{"gpu-nvidia-l4"}},
			{"no node has a GPU", on("capi-worker"), nil},
		},
		"Owner team": {
			{"the namespace says, and no pod is needed", with(world(nil), func(in *rules.Input) { in.Namespace.Labels = map[string]string{"team": "vision"} }), []string{"team-vision"}},
			{"the namespace does not say", world(nil), nil},
		},
		"Image digest": {
			{"the kubelet says what the tag stood for", on("eks-spot"), []string{"image-4a5d1b7c0f0a"}},
			{"other pods of the gang are not asked", with(on("eks-spot"), func(in *rules.Input) { in.Pods[0].Direct = false }), nil},
			{"not pulled yet", with(on("eks-spot"), func(in *rules.Input) {
				pod := *in.Pods[0].Pod
				pod.Images = []string{"registry.example/vision/capsules:2026-11-24"}
				in.Pods[0].Pod = &pod
			}), nil},
		},
		"Attempts": {
			{"the fourth", with(world(nil), func(in *rules.Input) { in.Run.Attempts = 4 }), []string{"many-attempts"}},
			{"the third", with(world(nil), func(in *rules.Input) { in.Run.Attempts = 3 }), nil},
		},
		"Long queue": {
			{"31 minutes", with(on("eks-spot"), waited(31)), []string{"long-queue"}},
			{"30 minutes", with(on("eks-spot"), waited(30)), nil},
			{"waiting still", with(on("eks-spot"), func(in *rules.Input) {
				pod := *in.Pods[0].Pod
				pod.StartedAt = time.Time{}
				in.Pods[0].Pod = &pod
			}), nil},
		},
		"NaN loss": {
			{"NaN", with(world(nil), metric("loss", math.NaN())), []string{"diverged"}},
			{"infinite", with(world(nil), metric("loss", math.Inf(1))), []string{"diverged"}},
			{"a number", with(world(nil), metric("loss", 0.3)), nil},
			{"another metric", with(world(nil), metric("lr", math.NaN())), nil},
		},
		"Threshold": {
			{"below", with(with(world(nil), metric("val/loss", 0.099)), finished), []string{"release_candidate"}},
			{"at it", with(with(world(nil), metric("val/loss", 0.1)), finished), nil},
			{"below, and not finished", with(world(nil), metric("val/loss", 0.099)), nil},
			{"never logged", with(world(nil), finished), nil},
		},
		"Canary": {
			{"a node of the canary pool", world([]rules.Linked{linked(t, "running", "eks-spot", label("pool.example.com/track", "canary"))}), []string{"canary"}},
			{"an image that is tried out", with(on("eks-spot"), func(in *rules.Input) {
				pod := *in.Pods[0].Pod
				pod.Labels = evidence.TextsOf(map[string]string{"track": "canary"})
				in.Pods[0].Pod = &pod
			}), []string{"canary"}},
			{"neither", on("eks-spot"), nil},
		},
	}
}

func withoutLabel(key string) func(*rules.Input) {
	return func(in *rules.Input) {
		labels := maps.Collect(in.Pods[0].Node.Labels.All())
		delete(labels, key)
		in.Pods[0].Node.Labels = evidence.TextsOf(labels)
	}
}

func TestCookbook(t *testing.T) {
	_, cookbook := blocks(t)
	known := recipes(t)
	for _, b := range cookbook {
		servings, ok := known[b.heading]
		if !ok {
			t.Errorf("no run was made for recipe %q", b.heading)
		}
		delete(known, b.heading)
		p := b.program(t)
		for _, s := range servings {
			v := p.Eval(s.in)
			var got []string
			if v.Outcome == rules.True {
				got = slices.Sorted(slices.Values(append(v.Tags, b.rule.Spec.Tags...)))
			}
			if diff := cmp.Diff(s.want, got); diff != "" || len(v.Invalid) > 0 {
				t.Errorf("%s: %s (-want +got):\n%s%v %s", b.heading, s.reason, diff, v.Invalid, v.Why)
			}
		}
	}
	for heading := range known {
		t.Errorf("the document has no recipe %q", heading)
	}
}

// Whoever asks which signals are known finds each of them in the document.
func TestEachSignalIsDocumented(t *testing.T) {
	raw, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	signal := regexp.MustCompile(`/|^[A-Z]`)
	for name, rule := range shipped(t) {
		for _, literal := range literals.FindAllString(rule.Spec.When, -1) {
			word := strings.Trim(literal, `"`)
			if literal[0] != '"' || !signal.MatchString(word) || word == "True" || word == "Succeeded" {
				continue
			}
			if !regexp.MustCompile(`\b` + regexp.QuoteMeta(word) + `\b`).Match(raw) {
				t.Errorf("%s goes by %s, and the document does not have it", name, word)
			}
		}
	}
}
