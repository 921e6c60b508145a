package wandbtest

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// maxLines is how many lines of history or events are kept of a run.
const maxLines = 100_000

// streamBody is what the SDK sends while a run goes on; an empty one is a heartbeat.
type streamBody struct {
	Files      map[string]streamFile `json:"files"`
	Complete   bool                  `json:"complete"`
	ExitCode   int                   `json:"exitcode"`
	Preempting bool                  `json:"preempting"`
}

type streamFile struct {
	Offset  int      `json:"offset"`
	Content []string `json:"content"`
}

func (s *Server) serveStream(w http.ResponseWriter, r *http.Request) {
	entity, projectName, id := r.PathValue("entity"), r.PathValue("project"), r.PathValue("run")
	body, err := readBody(w, r)
	var stream streamBody
	if err == nil && len(body) > 0 {
		err = json.Unmarshal(body, &stream)
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, fmt.Sprintf("invalid file_stream body: %v", err))
		return
	}
	request := Request{Operation: "file_stream", Path: entity + "/" + projectName + "/" + id, Variables: stream.summary()}
	s.exchange(w, r, request, func(w http.ResponseWriter, _ *applied) {
		if !s.caller(r).authorized {
			writeError(w, http.StatusUnauthorized, "user is not logged in")
			return
		}
		var stopped, found bool
		s.locked(func(st *store) {
			if run := st.run(entity, projectName, id); run != nil {
				found = true
				st.stream(run, stream)
				stopped = run.Stopped
			}
		})
		if !found {
			writeError(w, http.StatusNotFound, "could not find run "+request.Path)
			return
		}
		answer := map[string]any{}
		if stopped {
			answer["stopped"] = true
		}
		writeJSON(w, http.StatusOK, answer)
	})
}

// summary is what the log says of a stream: what it did to the run's state, and how many lines of what it brought.
func (b streamBody) summary() map[string]any {
	out := map[string]any{}
	for name, f := range b.Files {
		out[name] = len(f.Content)
	}
	if b.Complete {
		out["complete"], out["exitcode"] = true, b.ExitCode
	}
	if b.Preempting {
		out["preempting"] = true
	}
	return out
}

func (s *store) stream(r *record, b streamBody) {
	for name, f := range b.Files {
		switch name {
		case "wandb-history.jsonl":
			r.History = splice(r.History, f)
		case "wandb-events.jsonl":
			r.Events = splice(r.Events, f)
		case "output.log":
			r.LogLines = max(r.LogLines, f.Offset+len(f.Content))
		case "wandb-summary.json":
			if n := len(f.Content); n > 0 {
				r.Summary = decodeRow(f.Content[n-1])
			}
		}
	}
	if b.Complete {
		s.exited(r, b.ExitCode)
		return
	}
	if !r.alive() {
		s.started(r)
	}
	if b.Preempting {
		r.State = statePreempting
	}
	s.beat(r)
}

// splice puts lines where they belong, so that lines sent twice are there once.
func splice(lines []string, f streamFile) []string {
	at := min(max(f.Offset, 0), len(lines))
	lines = append(lines[:at:at], f.Content...)
	return lines[:min(len(lines), maxLines)]
}
