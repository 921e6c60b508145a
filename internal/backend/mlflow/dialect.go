package mlflow

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/runtag/runtag/internal/tags"
)

// The server refuses longer keys, and cuts longer values without a word (mlflow/utils/validation.py).
const (
	maxKey   = 250
	maxValue = 8000
)

// Dialect says which tags MLflow takes: keys with values.
func Dialect() tags.Dialect {
	return tags.Dialect{
		Tracker: "MLflow", Pairs: true,
		MaxKey: maxKey, MaxValue: maxValue,
		Hidden: hidden, CheckKey: checkKey,
	}
}

// hidden keys belong to MLflow, whose UI hides them too, or to runtag.
func hidden(key string) bool {
	return strings.HasPrefix(key, "mlflow.") || strings.HasPrefix(key, "_mlflow_") || strings.HasPrefix(key, "runtag.dev/")
}

// checkKey refuses what the server refuses (mlflow/utils/validation.py), and what is hidden.
func checkKey(key string) error {
	switch {
	case key == "":
		return errors.New("MLflow takes no tag without a key")
	case hidden(key):
		return errors.New("keys that begin with mlflow., _mlflow_ or runtag.dev/ are reserved")
	case utf8.RuneCountInString(key) > maxKey:
		return fmt.Errorf("MLflow takes keys of at most %d characters, and this has %d", maxKey, utf8.RuneCountInString(key))
	}
	for _, r := range key {
		if !keyRune(r) {
			return fmt.Errorf("MLflow takes no %q in a key: use letters, digits, blanks and _ - . : /", r)
		}
	}
	if path.Clean(key) != key || key == "." || strings.HasPrefix(key, "..") || strings.HasPrefix(key, "/") {
		return errors.New("MLflow takes no key that is not a plain relative path: no / at either end, no //, no . or .. between slashes, and no .. at the start")
	}
	return nil
}

// keyRune is the server's [/\w.\- :], where Python's \w is letters, everything numeric, and the underscore.
func keyRune(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsNumber(r) || strings.ContainsRune("_-. :/", r)
}

// cut shortens values as the server would.
func cut(set tags.Set) tags.Set {
	out := make(tags.Set, len(set))
	for key, value := range set {
		if utf8.RuneCountInString(value) > maxValue {
			value = string([]rune(value)[:maxValue])
		}
		out[key] = value
	}
	return out
}
