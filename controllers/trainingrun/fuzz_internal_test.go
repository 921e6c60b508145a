package trainingrun

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/snapshot"
)

// FuzzStatusMemory reads what we remember in status out of anything that a restore may have put there: what is read and
// written again is the same, and it holds for the run that status names and for no other.
func FuzzStatusMemory(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"run":{"uid":"u"},"appliedTags":[{"name":"a","replaced":"x"},{"name":"a"}],"removedTags":[{"name":"b","at":"2026-01-01T00:00:00Z","back":-5,"gone":true}]}`,
		`{"run":{"uid":"u"},"ruleTags":[{"rule":"r","tag":"t","state":"Held","first":"2026-01-01T00:00:00Z","last":"0001-01-01T00:00:00Z","count":-1,"goneSince":null}]}`,
		`{"appliedTags":[{"name":""}],"removedTags":[{"name":"\u0000","back":2147483647}],"ruleTags":[{"state":"Nonsense","wiped":2147483647,"reason":"é"}]}`,
	} {
		f.Add([]byte(seed), "u")
		f.Add([]byte(seed), "another")
	}
	f.Fuzz(func(t *testing.T, text []byte, uid string) {
		var st v1alpha1.TrainingRunStatus
		if json.Unmarshal(text, &st) != nil {
			return
		}
		read := record(&st)
		st.Run = &v1alpha1.RunStatus{UID: read.RunUID}
		setRecord(&st, read)
		if again := record(&st); !again.Equal(read) {
			t.Errorf("%s is read as %+v, written, and read back as %+v", text, read, again)
		}
		run := &v1alpha1.TrainingRun{Status: st}
		s := &scope{run: run, stored: run, view: snapshot.View{Run: backend.Run{UID: uid}}}
		facts := s.knownFacts()
		if uid != st.Run.UID {
			if len(facts) > 0 {
				t.Errorf("what rules found for run %q holds for %q", st.Run.UID, uid)
			}
			return
		}
		if len(facts) != len(st.RuleTags) {
			t.Fatalf("%d facts out of %d", len(facts), len(st.RuleTags))
		}
		wrote := ruleTags(facts)
		run.Status.RuleTags = wrote
		if diff := cmp.Diff(wrote, ruleTags(s.knownFacts()), cmpopts.EquateEmpty(), cmp.Comparer(func(a, b metav1.Time) bool { return a.Time.Equal(b.Time) })); diff != "" {
			t.Errorf("facts change when they are written and read: %s", diff)
		}
		for _, w := range wrote {
			if n := len([]rune(w.Reason)); n > maxText {
				t.Errorf("a reason of %d characters is written", n)
			}
		}
	})
}

// FuzzFieldManagers reads who declared a tag out of any managed fields.
func FuzzFieldManagers(f *testing.F) {
	f.Add([]byte(`{"f:spec":{"f:tags":{"v:\"a\"":{},"v:\"k=v\"":{}}},"f:metadata":{"f:labels":{"f:tag.runtag.dev/x":{},"f:pair.runtag.dev/k":{}}}}`))
	f.Add([]byte(`{"f:spec":null,"f:metadata":{"f:labels":{"f:":null}}}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, fields []byte) {
		run := &v1alpha1.TrainingRun{ObjectMeta: metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{
			{Manager: "person", FieldsV1: metav1.NewFieldsV1(string(fields))}, {Manager: FieldManager, FieldsV1: metav1.NewFieldsV1(string(fields))},
			{Manager: "nobody"},
		}}}
		for tag, manager := range fieldManagers(run) {
			if manager != "person" {
				t.Errorf("%s: tag %q is said to be declared by %q", fields, tag, manager)
			}
		}
	})
}
