package intern_test

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"github.com/runtag/runtag/internal/intern"
)

func TestTextsShareTheirMemory(t *testing.T) {
	in := intern.New()
	first := in.Text(strings.Clone("baseline"))
	for i := range 10_000 {
		if got, want := in.Text(fmt.Sprint("unique-", i)), fmt.Sprint("unique-", i); got != want {
			t.Fatalf("the text is %q, want %q", got, want)
		}
		again := in.Text(strings.Clone("baseline"))
		if again != "baseline" || unsafe.StringData(again) != unsafe.StringData(first) {
			t.Fatalf("%q has memory of its own after %d others, want that of the first", again, i+1)
		}
	}
	list := []string{strings.Clone("baseline"), "", "v2.1"}
	intern.Texts(in, list)
	if strings.Join(list, " ") != "baseline  v2.1" || unsafe.StringData(list[0]) != unsafe.StringData(first) {
		t.Errorf("the list is %q, want the same texts, and the first shared", list)
	}
}

func TestNothingIsKeptForEver(t *testing.T) {
	in := intern.New()
	sum := in.Sum("a", "b")
	if in.Find(sum) != nil {
		t.Error("something is found that was not kept")
	}
	in.Keep(sum, 1)
	keep := func(n int) {
		for i := range n {
			in.Keep(in.Sum(fmt.Sprint(i)), i)
		}
	}
	keep(1500)
	if got := in.Find(sum); got != 1 {
		t.Errorf("what was kept a generation ago is %v, want 1", got)
	}
	keep(10_000)
	if got := in.Find(sum); got != nil {
		t.Errorf("what nobody asked for in many generations is %v, want it gone", got)
	}
}
