package binding_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/runtag/runtag/internal/binding"
)

func TestFortyRunsInOnePod(t *testing.T) {
	var script strings.Builder
	fmt.Fprintln(&script, "pod a 9:00-10:21 host=h")
	for i := range 40 { // killed one after the other, each 2 minutes after it was made
		fmt.Fprintf(&script, "run x%02d made=%s beat=%s killed host=h\n", i, minute(i*2), minute(i*2+1))
	}
	fmt.Fprint(&script, "at 10:30\nlook\n")
	for i := range 39 {
		fmt.Fprintf(&script, "want x%02d: a Host %s-%s\n", i, minute(i*2), minute(i*2+2))
	}
	fmt.Fprint(&script, "want x39: a Host 10:18-10:21\n")
	w := play(t, script.String())
	for name, found := range w.found {
		if got := found.Links[0].Holds(at("10:21")); got != (name == "x39") {
			t.Errorf("the eviction happened to %s: %v", name, got)
		}
	}
}

func minute(n int) string { return clock(at(fmt.Sprintf("9:%02d", n))) }

func TestSharedModeFlipsBetweenPods(t *testing.T) {
	var script strings.Builder
	for i := range 64 { // most of them start after rank 0 has made the run
		fmt.Fprintf(&script, "pod p%02d %s- host=p%02d\n", i, minute(i/8), i)
	}
	fmt.Fprintln(&script, "run x made=9:01")
	var all []string
	for i := range 64 {
		fmt.Fprintf(&script, "at %s\nrun x host=p%02d beat=%s\nlook\n", minute(i+10), i, minute(i+10))
	}
	for i := 63; i >= 0; i-- {
		all = append(all, fmt.Sprintf("p%02d Host %s-", i, minute(max(1, i/8))))
	}
	w := play(t, script.String())
	got := strings.Split(w.links("x"), ", ")
	if len(got) != 64 {
		t.Fatalf("%d links: %v", len(got), got)
	}
	for _, want := range all {
		if !strings.Contains(w.links("x"), want) {
			t.Errorf("%q is missing", want)
		}
	}
}

// jobSet is 64 pods that work together.
func jobSet(more func(rank int) string) string {
	var script strings.Builder
	for i := range 64 {
		fmt.Fprintf(&script, "pod p%02d 9:00- jobset.sigs.k8s.io/jobset-uid=s %s\n", i, more(i))
	}
	return script.String()
}

func TestARankIsEvicted(t *testing.T) {
	w := play(t, jobSet(func(int) string { return "" })+`
		run x made=9:05 host=p00 beat=9:30
		look
		pod p37 9:00-9:30:10 jobset.sigs.k8s.io/jobset-uid=s
		at 9:31
		look`)
	links := w.found["x"].Links
	if len(links) != 64 {
		t.Fatalf("%d links, want 64: %s", len(links), w.links("x"))
	}
	for _, l := range links {
		if want := l.Name != "p37"; l.Until.IsZero() != want || (l.By == binding.ByGang) != (l.Name != "p00") {
			t.Errorf("%+v", l)
		}
	}
	runs := w.index.RunsOf(w.store.Pod(uid("p37")))
	if len(runs) != 1 || runs[0].ID != "x" {
		t.Errorf("the pod's end concerns %v", runs)
	}
}

func TestARunForEachRank(t *testing.T) {
	script := jobSet(func(rank int) string { return fmt.Sprintf("env=wandb,x%02d", rank) })
	for i := range 64 { // one second after the other: none takes the place of another
		script += fmt.Sprintf("run x%02d made=9:05:%02d\n", i, i%60)
	}
	w := play(t, script+"look")
	for name, found := range w.found {
		if len(found.Links) != 64 {
			t.Fatalf("%s has %d links", name, len(found.Links))
		}
		for _, l := range found.Links {
			own := "p"+name[1:] == l.Name
			if !l.Until.IsZero() || own != (l.By == binding.ByEnv) {
				t.Errorf("%s: %+v", name, l)
			}
		}
	}
}
