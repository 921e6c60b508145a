package backend_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/runtag/runtag/internal/backend"
)

// holder has a secret as clients have it: fmt prints such a field without its methods.
type holder struct {
	key   backend.Secret
	other *holder
}

func TestASecretDoesNotPrint(t *testing.T) {
	const value = "canary-1234"
	secret := backend.NewSecret(value)
	inside := holder{key: secret}
	for _, v := range []any{secret, &secret, inside, &inside, []holder{inside}, map[string]*holder{"a": &inside}, holder{other: &inside}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, value) || strings.Contains(text, fmt.Sprintf("%x", value)) {
				t.Errorf("%s of a %T is %s", verb, v, text)
			}
		}
	}
	if text, err := json.Marshal(struct{ Key backend.Secret }{secret}); err != nil || string(text) != `{"Key":"[redacted]"}` {
		t.Errorf("JSON is %s (%v)", text, err)
	}
	if secret.Reveal() != value || secret.Empty() {
		t.Errorf("it is %q, empty %t", secret.Reveal(), secret.Empty())
	}
	if none := (backend.Secret{}); none.Reveal() != "" || !none.Empty() {
		t.Error("none is one")
	}
}
