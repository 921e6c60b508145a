package wandbtest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/runtag/runtag/internal/backend/wandb/wandbtest/graphql"
)

// maxTag is the length of a tag in characters that W&B's database has room for.
const maxTag = 64

// timeStep is the resolution of times in the tracker's database.
const timeStep = time.Second

// store holds all projects. Its caller holds the server's lock.
type store struct {
	projects map[string]*project
	// seq numbers runs and projects; version counts changes, so that a keeper knows when to save.
	seq, version int64
	// heartbeatTimeout is how long a run may be silent before it counts as lost; 0 means for ever.
	heartbeatTimeout time.Duration
	now              func() time.Time
}

type project struct {
	Entity    string    `json:"entity"`
	Name      string    `json:"name"`
	Internal  int64     `json:"internalID"`
	CreatedAt time.Time `json:"createdAt"`
	Runs      []*record `json:"runs"`
	// Buried holds when runs that are deleted now had been created, so that one made again under the id differs.
	Buried map[string]time.Time `json:"buried,omitempty"`

	byID map[string]*record
}

func (s *store) project(entity, name string) *project { return s.projects[entity+"/"+name] }

// ensureProject finds the project or makes it, as a first run does.
func (s *store) ensureProject(entity, name string) (p *project, inserted bool) {
	if p := s.project(entity, name); p != nil {
		return p, false
	}
	s.seq++
	p = &project{Entity: entity, Name: name, Internal: s.seq, CreatedAt: s.now(), Buried: map[string]time.Time{}, byID: map[string]*record{}}
	s.projects[entity+"/"+name] = p
	s.version++
	return p, true
}

// run finds a run, nil where there is none.
func (s *store) run(entity, projectName, id string) *record {
	p := s.project(entity, projectName)
	if p == nil {
		return nil
	}
	return s.settled(p.byID[id])
}

func (s *store) byStorageID(id string) (*record, error) {
	entity, projectName, name, err := parseStorageID(id)
	if err != nil {
		return nil, graphql.Refuse(http.StatusBadRequest, "%v", err)
	}
	if r := s.run(entity, projectName, name); r != nil {
		return r, nil
	}
	return nil, graphql.Refuse(http.StatusNotFound, "could not find run %s/%s/%s", entity, projectName, name)
}

// runs are the project's runs in the order in which they were made, their states up to date.
func (s *store) runs(p *project) []*record {
	for _, r := range p.Runs {
		s.settled(r)
	}
	return p.Runs
}

// settled notices that a run has been silent for too long.
func (s *store) settled(r *record) *record {
	if r == nil || !r.alive() || s.heartbeatTimeout <= 0 || s.now().Sub(r.HeartbeatAt) <= s.heartbeatTimeout {
		return r
	}
	switch {
	case r.Stopped:
		r.State = stateKilled
	case r.State == statePreempting:
		r.State = statePreempted
	default:
		r.State = stateCrashed
	}
	s.version++
	return r
}

// create adds a run. createdAt differs from that of every run that had the id before.
func (s *store) create(p *project, id string, createdAt time.Time) *record {
	createdAt = createdAt.UTC().Truncate(timeStep)
	if before, ok := p.Buried[id]; ok && !createdAt.After(before) {
		createdAt = before.Add(time.Second)
	}
	s.seq++
	r := &record{Seq: s.seq, Files: map[string]*file{}}
	r.Entity, r.Project, r.ID = p.Entity, p.Name, id
	r.StorageID = StorageID(p.Entity, p.Name, id)
	r.DisplayName = displayName(s.seq)
	r.State = stateRunning
	r.CreatedAt, r.HeartbeatAt = createdAt, createdAt
	r.Tags = []string{}
	p.Runs = append(p.Runs, r)
	p.byID[id] = r
	s.touch(r)
	return r
}

func (s *store) remove(r *record) {
	p := s.project(r.Entity, r.Project)
	p.Runs = slices.DeleteFunc(p.Runs, func(other *record) bool { return other == r })
	delete(p.byID, r.ID)
	p.Buried[r.ID] = r.CreatedAt
	s.version++
}

// touch notes that the run changed.
func (s *store) touch(r *record) {
	r.UpdatedAt = s.now()
	s.version++
}

// beat notes a sign of life of the run's process.
func (s *store) beat(r *record) {
	r.HeartbeatAt = s.now()
	s.touch(r)
}

// exited notes that the run's process ended.
func (s *store) exited(r *record, code int) {
	r.ExitCode = &code
	switch {
	case r.Stopped:
		r.State = stateKilled
	case code == 0:
		r.State = stateFinished
	case r.State == statePreempting:
		r.State = statePreempted
	default:
		r.State = stateFailed
	}
	s.beat(r)
}

// started notes that a process took the run up, for the first time or again.
func (s *store) started(r *record) {
	r.State, r.ExitCode, r.Stopped = stateRunning, nil, false
	s.beat(r)
}

// setTags replaces the run's tags.
func (s *store) setTags(r *record, tags []string) error {
	clean, err := cleanTags(tags)
	if err != nil {
		return err
	}
	r.Tags = clean
	s.touch(r)
	return nil
}

// cleanTags refuses tags that the tracker's database has no room for, and drops exact duplicates; order is kept.
func cleanTags(tags []string) ([]string, error) {
	clean := make([]string, 0, len(tags))
	for _, tag := range tags {
		if n := utf8.RuneCountInString(tag); n < 1 || n > maxTag {
			return nil, graphql.Refuse(http.StatusBadRequest, "invalid tag '%s'. must be between 1 and %d characters", tag, maxTag)
		}
		if !slices.Contains(clean, tag) {
			clean = append(clean, tag)
		}
	}
	return clean, nil
}

func (s *store) editTags(r *record, add, remove []string) error {
	tags := slices.DeleteFunc(slices.Clone(r.Tags), func(tag string) bool { return slices.Contains(remove, tag) })
	return s.setTags(r, append(tags, add...))
}

// displayName makes up a name as W&B does for runs that bring none.
func displayName(seq int64) string {
	first := strings.Fields("amber brisk calm dewy eager fresh gentle hardy icy jolly keen lunar misty noble olive proud")
	second := strings.Fields("brook cloud dune ember field grove hill isle lake meadow night ocean peak river sun tide valley")
	return fmt.Sprintf("%s-%s-%d", first[seq%int64(len(first))], second[seq%int64(len(second))], seq)
}
