package wandbtest

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

// Runs are named by path, "entity/project/id", as in the SDK's public API.

// AddRun adds a run as it is given, or replaces the one of that id: what a test needs to be there. Project and ID are
// needed; what else is empty gets the value that a run of the SDK would have, state running for one.
func (s *Server) AddRun(run Run) (Run, error) {
	var out Run
	var err error
	s.locked(func(st *store) { out, err = s.put(st, run) })
	return out, err
}

func (s *Server) put(st *store, run Run) (Run, error) {
	if run.Entity == "" {
		run.Entity = s.entity
	}
	if _, _, _, err := splitPath(run.Path()); err != nil {
		return Run{}, err
	}
	if run.State != "" && !slices.Contains(states, run.State) {
		return Run{}, fmt.Errorf("run %s: unknown state %q", run.Path(), run.State)
	}
	tags, err := cleanTags(run.Tags)
	if err != nil {
		return Run{}, fmt.Errorf("run %s: %w", run.Path(), err)
	}
	if run.CreatedAt.IsZero() {
		run.CreatedAt = st.now()
	}
	p, _ := st.ensureProject(run.Entity, run.Project)
	r := p.byID[run.ID]
	if r == nil {
		r = st.create(p, run.ID, run.CreatedAt)
		run.CreatedAt = r.CreatedAt
	}
	fallback := r.Run
	r.Run = run
	r.StorageID, r.Tags = fallback.StorageID, tags
	r.CreatedAt = run.CreatedAt.UTC().Truncate(timeStep)
	if r.HeartbeatAt = run.HeartbeatAt.UTC().Truncate(timeStep); run.HeartbeatAt.IsZero() {
		r.HeartbeatAt = st.now()
	}
	for _, field := range []struct{ have, otherwise *string }{
		{&r.DisplayName, &fallback.DisplayName}, {&r.State, &fallback.State}, {&r.User, &s.user},
	} {
		if *field.have == "" {
			*field.have = *field.otherwise
		}
	}
	st.touch(r)
	return r.copy(), nil
}

// Run returns the run as it is now; ok is false where there is none.
func (s *Server) Run(path string) (run Run, ok bool) {
	err := s.edit(path, func(_ *store, r *record) error {
		run = r.copy()
		return nil
	})
	return run, err == nil
}

// Runs returns the project's runs in the order in which they were made.
func (s *Server) Runs(entity, project string) []Run {
	out := []Run{}
	s.locked(func(st *store) {
		if p := st.project(entity, project); p != nil {
			for _, r := range st.runs(p) {
				out = append(out, r.copy())
			}
		}
	})
	return out
}

// SetTags replaces the run's tags, as a person does on the run's page.
func (s *Server) SetTags(path string, tags ...string) error {
	return s.edit(path, func(st *store, r *record) error { return st.setTags(r, tags) })
}

// EditTags adds and removes tags, as a person does on the run's page.
func (s *Server) EditTags(path string, add, remove []string) error {
	return s.edit(path, func(st *store, r *record) error { return st.editTags(r, add, remove) })
}

// SetMetrics sets latest values in the run's summary, as a training script that logs them does; others stay. They may be
// NaN or infinite. It is no sign of life.
func (s *Server) SetMetrics(path string, metrics map[string]float64) error {
	return s.edit(path, func(st *store, r *record) error {
		summary := map[string]any{}
		maps.Copy(summary, r.Summary)
		for key, value := range metrics {
			summary[key] = inJSON(value)
		}
		r.Summary = summary
		st.touch(r)
		return nil
	})
}

// inJSON is a number as W&B keeps it: JSON has no way to write some.
func inJSON(value float64) any {
	switch {
	case math.IsNaN(value):
		return "NaN"
	case math.IsInf(value, 1):
		return "Infinity"
	case math.IsInf(value, -1):
		return "-Infinity"
	}
	return value
}

// Heartbeat is a sign of life of the run's process; it revives a run that had ended.
func (s *Server) Heartbeat(path string) error {
	return s.edit(path, func(st *store, r *record) error {
		st.stream(r, streamBody{})
		return nil
	})
}

// StartRun is a process taking the run up again on a host, as a resume does.
func (s *Server) StartRun(path, host string) error {
	return s.edit(path, func(st *store, r *record) error {
		r.Host = host
		st.started(r)
		return nil
	})
}

// FinishRun is the run's process ending with an exit code.
func (s *Server) FinishRun(path string, exitCode int) error {
	return s.edit(path, func(st *store, r *record) error {
		st.exited(r, exitCode)
		return nil
	})
}

// DeleteRun deletes the run. One that is made again under its id has another creation time.
func (s *Server) DeleteRun(path string) error {
	return s.edit(path, func(st *store, r *record) error {
		st.remove(r)
		return nil
	})
}

// DeleteProject deletes a project with all its runs; it is no error if there is none.
func (s *Server) DeleteProject(entity, project string) {
	s.locked(func(st *store) {
		delete(st.projects, entity+"/"+project)
		st.version++
	})
}

func (s *Server) edit(path string, f func(*store, *record) error) error {
	entity, projectName, id, err := splitPath(path)
	if err != nil {
		return err
	}
	s.locked(func(st *store) {
		r := st.run(entity, projectName, id)
		if r == nil {
			err = fmt.Errorf("there is no run %s", path)
			return
		}
		err = f(st, r)
	})
	return err
}
