package transport

import (
	"encoding/json"
	"strings"
)

// blank takes the secrets out of the body of an answer that will be read for the server's words. In JSON a secret can be
// written with escapes (Go writes & as \u0026, Python every letter beyond ASCII), which only decoding shows.
func blank(body []byte, secrets []string) []byte {
	text := redact(string(body), secrets)
	if !strings.Contains(text, `\`) {
		return []byte(text)
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return []byte(text) // not JSON, so nothing will decode it
	}
	out, err := json.Marshal(blankValue(value, secrets))
	if err != nil {
		return nil // no words are better than a secret
	}
	return out
}

func blankValue(value any, secrets []string) any {
	switch v := value.(type) {
	case string:
		return redact(v, secrets)
	case []any:
		for i := range v {
			v[i] = blankValue(v[i], secrets)
		}
	case map[string]any:
		for key := range v {
			v[key] = blankValue(v[key], secrets)
		}
	}
	return value
}
