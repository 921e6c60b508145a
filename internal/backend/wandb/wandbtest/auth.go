package wandbtest

import (
	"crypto/subtle"
	"net/http"
	"strings"
)

// caller is who a request comes from; authorized is false without an accepted key.
type caller struct {
	authorized bool
	user       string
}

func (s *Server) caller(r *http.Request) caller {
	c := caller{user: s.user, authorized: s.accepts(r)}
	if name := r.Header.Get("X-Wandb-Username"); name != "" {
		c.user = name // a service account that writes for a person
	}
	return c
}

func (s *Server) accepts(r *http.Request) bool {
	_, key, ok := r.BasicAuth()
	if !ok {
		key, _ = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	}
	if len(s.keys) == 0 {
		return key != ""
	}
	for _, accepted := range s.keys {
		if subtle.ConstantTimeCompare([]byte(key), []byte(accepted)) == 1 {
			return true
		}
	}
	return false
}
