package wandbtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
)

// routeControl adds the endpoints that tests and people steer the server by. They need no key.
func (s *Server) routeControl() {
	s.mux.HandleFunc("GET /_runtag/requests", s.getRequests)
	s.mux.HandleFunc("DELETE /_runtag/requests", func(w http.ResponseWriter, _ *http.Request) {
		s.ResetRequests()
		w.WriteHeader(http.StatusNoContent)
	})
	s.mux.HandleFunc("GET /_runtag/faults", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, s.Faults())
	})
	s.mux.HandleFunc("POST /_runtag/faults", s.postFaults)
	s.mux.HandleFunc("DELETE /_runtag/faults", func(w http.ResponseWriter, _ *http.Request) {
		s.SetFaults(Faults{})
		w.WriteHeader(http.StatusNoContent)
	})
	s.mux.HandleFunc("GET /_runtag/projects", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, s.Projects())
	})
	s.mux.HandleFunc("GET /_runtag/runs", s.getRuns)
	s.mux.HandleFunc("POST /_runtag/runs", s.postRun)
	s.mux.HandleFunc("DELETE /_runtag/runs", s.deleteRuns)
	s.mux.HandleFunc("PUT /_runtag/tags", s.putTags)
}

func (s *Server) getRequests(w http.ResponseWriter, r *http.Request) {
	since, err := strconv.ParseInt(r.FormValue("since"), 10, 64)
	if err != nil && r.FormValue("since") != "" {
		writeError(w, http.StatusBadRequest, "since must be the seq of a request")
		return
	}
	writeJSON(w, http.StatusOK, s.RequestsSince(since))
}

func (s *Server) postFaults(w http.ResponseWriter, r *http.Request) {
	var f Faults
	err := readControl(w, r, &f)
	if err == nil {
		err = f.Validate()
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	s.SetFaults(f)
	writeJSON(w, http.StatusOK, f)
}

func (s *Server) getRuns(w http.ResponseWriter, r *http.Request) {
	entity, project, id := r.FormValue("entity"), r.FormValue("project"), r.FormValue("id")
	if id == "" {
		writeJSON(w, http.StatusOK, s.Runs(entity, project))
		return
	}
	run, ok := s.Run(Run{Entity: entity, Project: project, ID: id}.Path())
	if !ok {
		writeError(w, http.StatusNotFound, fmt.Sprintf("there is no run %s/%s/%s", entity, project, id))
		return
	}
	writeJSON(w, http.StatusOK, run)
}

// postRun adds a run, or changes the fields that the body names of one that is there.
func (s *Server) postRun(w http.ResponseWriter, r *http.Request) {
	var body json.RawMessage
	var name Run
	err := readControl(w, r, &body)
	if err == nil {
		err = json.Unmarshal(body, &name)
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	if name.Entity == "" {
		name.Entity = s.entity
	}
	var run Run
	s.locked(func(st *store) {
		if r := st.run(name.Entity, name.Project, name.ID); r != nil {
			run = r.copy()
		}
		if err = json.Unmarshal(body, &run); err == nil {
			run, err = s.put(st, run)
		}
	})
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	writeJSON(w, http.StatusOK, run)
}

// deleteRuns deletes a run, or the project with all its runs where no id is given.
func (s *Server) deleteRuns(w http.ResponseWriter, r *http.Request) {
	entity, project, id := r.FormValue("entity"), r.FormValue("project"), r.FormValue("id")
	if id == "" {
		s.DeleteProject(entity, project)
	} else if err := s.DeleteRun(Run{Entity: entity, Project: project, ID: id}.Path()); err != nil {
		writeError(w, http.StatusNotFound, err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// putTags sets the tags of a run, or adds and removes some.
func (s *Server) putTags(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Entity  string   `json:"entity"`
		Project string   `json:"project"`
		ID      string   `json:"id"`
		Tags    []string `json:"tags"`
		Add     []string `json:"add"`
		Remove  []string `json:"remove"`
	}
	err := readControl(w, r, &body)
	path := Run{Entity: body.Entity, Project: body.Project, ID: body.ID}.Path()
	if err == nil && body.Tags != nil {
		err = s.SetTags(path, body.Tags...)
	}
	if err == nil {
		err = s.EditTags(path, body.Add, body.Remove)
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	run, _ := s.Run(path)
	writeJSON(w, http.StatusOK, run)
}

// readControl reads a JSON body. It insists on the content type, which pages of other origins cannot send unasked.
func readControl(w http.ResponseWriter, r *http.Request, into any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return errors.New("send JSON, with Content-Type: application/json")
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}
