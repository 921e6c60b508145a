package wandbtest

import (
	_ "embed"
	"net/http"
	"slices"
	"strings"
)

//go:embed web/page.html
var page []byte

// routePages adds the page that people watch. One page serves every address of the tracker's shape and shows what the
// address names: all projects, one project, or one run.
func (s *Server) routePages() {
	show := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		_, _ = w.Write(page)
	}
	s.mux.HandleFunc("GET /{$}", show)
	s.mux.HandleFunc("GET /{entity}", show)
	s.mux.HandleFunc("GET /{entity}/{project}", show)
	s.mux.HandleFunc("GET /{entity}/{project}/workspace", show)
	s.mux.HandleFunc("GET /{entity}/{project}/runs/{id}", show)
	s.mux.HandleFunc("GET /favicon.ico", http.NotFound)
}

// Project is a project and how many runs it has.
type Project struct {
	Entity string `json:"entity"`
	Name   string `json:"name"`
	Runs   int    `json:"runs"`
	Active int    `json:"active"`
}

// Projects returns all projects, by entity and name.
func (s *Server) Projects() []Project {
	out := []Project{}
	s.locked(func(st *store) {
		for _, p := range st.projects {
			sum := Project{Entity: p.Entity, Name: p.Name, Runs: len(p.Runs)}
			for _, r := range st.runs(p) {
				if r.alive() {
					sum.Active++
				}
			}
			out = append(out, sum)
		}
	})
	slices.SortFunc(out, func(a, b Project) int {
		return strings.Compare(a.Entity+"/"+a.Name, b.Entity+"/"+b.Name)
	})
	return out
}
