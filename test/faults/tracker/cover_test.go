package tracker_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

// TestTheTableCoversEveryFault fails where the tracker learns a failure that no row has.
func TestTheTableCoversEveryFault(t *testing.T) {
	used := map[string]bool{}
	for _, r := range table(1) {
		if err := r.faults.Validate(); err != nil {
			t.Errorf("%s: %v", r.name, err)
		}
		use(reflect.ValueOf(r.faults), used)
	}
	var want []string
	for _, of := range []any{wandbtest.Faults{}, wandbtest.Fault{}, wandbtest.RateLimit{}} {
		kind := reflect.TypeOf(of)
		for i := range kind.NumField() {
			want = append(want, kind.Name()+"."+kind.Field(i).Name)
		}
	}
	want = append(want, "Faults.UpsertByID=insert", "Faults.UpsertByID=other", "Fault.Drop=before", "Fault.Drop=middle", "Fault.Drop=after")
	for _, name := range want {
		if !used[name] {
			t.Errorf("no row of the table has %s", name)
		}
	}
	names := map[string]bool{}
	for _, r := range table(1) {
		if names[r.name] || r.reason == "" {
			t.Errorf("row %q is there twice, or has no reason", r.name)
		}
		names[r.name] = true
	}
}

// use notes the fields that are set, also with their value where that is one of a few words.
func use(v reflect.Value, used map[string]bool) {
	for i := range v.NumField() {
		field := v.Field(i)
		if field.IsZero() {
			continue
		}
		path := v.Type().Name() + "." + v.Type().Field(i).Name
		used[path] = true
		switch {
		case field.Kind() == reflect.String:
			used[fmt.Sprintf("%s=%s", path, field.String())] = true
		case field.Kind() == reflect.Slice && field.Type().Elem().Kind() == reflect.Struct:
			for n := range field.Len() {
				use(field.Index(n), used)
			}
		case field.Kind() == reflect.Pointer:
			use(field.Elem(), used)
		}
	}
}
