package wandbtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// saveEvery is how long changes may be unsaved.
const saveEvery = time.Second

// saved is the file that keeps a server's runs.
type saved struct {
	Seq      int64      `json:"seq"`
	Projects []*project `json:"projects"`
}

func dataFile(dir string) string { return filepath.Join(dir, "tracker.json") }

// Load takes over what an earlier server kept in dir; there need not be anything.
func (s *Server) Load(dir string) error {
	body, err := os.ReadFile(dataFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var data saved
	if err == nil {
		err = json.Unmarshal(body, &data)
	}
	if err != nil {
		return fmt.Errorf("reading the runs kept in %s: %w", dir, err)
	}
	s.locked(func(st *store) {
		st.seq = data.Seq
		for _, p := range data.Projects {
			p.byID = map[string]*record{}
			if p.Buried == nil {
				p.Buried = map[string]time.Time{}
			}
			for _, r := range p.Runs {
				if r.Files == nil {
					r.Files = map[string]*file{}
				}
				p.byID[r.ID] = r
			}
			st.projects[p.Entity+"/"+p.Name] = p
		}
	})
	return nil
}

// Keep saves the runs in dir whenever they have changed, at most once a second, until ctx ends; then it saves them a last
// time. The file is replaced as a whole, so that it is never half-written.
func (s *Server) Keep(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the data directory: %w", err)
	}
	var kept int64
	for {
		ended := !s.wait(ctx, saveEvery)
		version, err := s.save(dir, kept)
		if err != nil {
			return fmt.Errorf("keeping the runs in %s: %w", dir, err)
		}
		if kept = version; ended {
			return nil
		}
	}
}

// save writes the runs unless they are still those of version kept.
func (s *Server) save(dir string, kept int64) (version int64, err error) {
	var body []byte
	s.locked(func(st *store) {
		if version = st.version; version == kept {
			return
		}
		data := saved{Seq: st.seq}
		for _, p := range st.projects {
			data.Projects = append(data.Projects, p)
		}
		body, err = json.Marshal(data)
	})
	if err != nil || body == nil {
		return version, err
	}
	return version, replaceFile(dataFile(dir), body)
}

func replaceFile(path string, body []byte) error {
	next, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(next.Name()) // it is gone already where all went well
	_, err = next.Write(body)
	if err = errors.Join(err, next.Sync(), next.Close()); err != nil {
		return err
	}
	return os.Rename(next.Name(), path)
}
