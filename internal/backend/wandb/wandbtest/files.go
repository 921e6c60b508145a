package wandbtest

import (
	"crypto/md5" //nolint:gosec // the protocol gives MD5 sums of files
	"encoding/base64"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/runtag/runtag/internal/backend/wandb/wandbtest/graphql"
)

// fileURL is where a file is uploaded to and downloaded from.
func (s *session) fileURL(r *record, name string) string {
	parts := []string{r.Entity, r.Project, r.ID}
	parts = append(parts, strings.Split(name, "/")...)
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return s.base + "/_files/" + strings.Join(parts, "/")
}

func (m mutationRoot) createRunFiles(input graphql.Args) (graphql.Values, error) {
	r, err := m.inputRun(input)
	if err != nil {
		return nil, err
	}
	files := []graphql.Object{}
	for _, name := range input.Strings("files") {
		files = append(files, graphql.Values{"id": globalID("File", name), "name": name, "uploadUrl": m.fileURL(r, name)})
	}
	return graphql.Values{"runID": r.StorageID, "uploadHeaders": []string{}, "files": files}, nil
}

func (m mutationRoot) markRunFilesUploaded(input graphql.Args) (graphql.Values, error) {
	_, err := m.inputRun(input)
	return graphql.Values{"success": err == nil}, err
}

func (m mutationRoot) inputRun(input graphql.Args) (*record, error) {
	entity, projectName, id := input.String("entityName"), input.String("projectName"), input.String("runName")
	if r := m.store.run(entity, projectName, id); r != nil {
		return r, nil
	}
	return nil, graphql.Refuse(http.StatusNotFound, "could not find run %s/%s/%s", entity, projectName, id)
}

// deleteFiles deletes by the ids that Run.files gives, which name run and file.
func (m mutationRoot) deleteFiles(input graphql.Args) (graphql.Values, error) {
	for _, id := range input.Strings("files") {
		raw, err := base64.StdEncoding.DecodeString(id)
		parts := strings.SplitN(string(raw), ":", 3)
		if err != nil || len(parts) != 3 {
			return nil, graphql.Refuse(http.StatusBadRequest, "invalid file id %q", id)
		}
		r, err := m.store.byStorageID(parts[1])
		if err != nil {
			return nil, err
		}
		delete(r.Files, parts[2])
		m.store.touch(r)
	}
	return graphql.Values{"success": true}, nil
}

func (n runNode) files(args graphql.Args) (any, error) {
	names, pattern := args.Strings("names"), like(args.String("pattern"))
	var matching []string
	for _, name := range slices.Sorted(maps.Keys(n.Files)) {
		if (len(names) == 0 || slices.Contains(names, name)) && pattern.MatchString(name) {
			matching = append(matching, name)
		}
	}
	page, window, err := offsetPage(matching, args)
	if err != nil {
		return nil, err
	}
	edges := []graphql.Object{}
	for i, name := range page {
		edges = append(edges, graphql.Values{"node": n.file(name), "cursor": window.cursor(i)})
	}
	return graphql.Values{"edges": edges, "pageInfo": window.node()}, nil
}

func (n runNode) file(name string) graphql.Object {
	f, at := n.Files[name], n.fileURL(n.record, name)
	return graphql.Values{
		"id": globalID("File", n.StorageID+":"+name), "name": name, "url": at, "directUrl": at, "uploadUrl": at,
		"sizeBytes": f.Size, "mimetype": mime.TypeByExtension(path.Ext(name)), "updatedAt": timestamp(f.UpdatedAt), "md5": f.MD5,
	}
}

// like makes an expression of a pattern of SQL's LIKE; an empty one matches everything.
func like(pattern string) *regexp.Regexp {
	if pattern == "" {
		pattern = "%"
	}
	quoted := regexp.QuoteMeta(pattern)
	return regexp.MustCompile("(?s)^" + strings.NewReplacer("%", ".*", "_", ".").Replace(quoted) + "$")
}

func (s *Server) serveUpload(w http.ResponseWriter, r *http.Request) {
	s.exchange(w, r, fileRequest("upload", r), func(w http.ResponseWriter, _ *applied) {
		sum := md5.New() //nolint:gosec // see the import
		body := io.TeeReader(r.Body, sum)
		content, err := io.ReadAll(io.LimitReader(body, maxFile))
		var rest int64
		if err == nil {
			rest, err = io.Copy(io.Discard, body)
		}
		if err != nil {
			writeError(w, http.StatusBadRequest, "the upload broke off: "+err.Error())
			return
		}
		f := &file{Content: content, Size: int64(len(content)) + rest, MD5: base64.StdEncoding.EncodeToString(sum.Sum(nil))}
		status := http.StatusNotFound
		s.locked(func(st *store) {
			if run := st.run(r.PathValue("entity"), r.PathValue("project"), r.PathValue("run")); run != nil {
				f.UpdatedAt = st.now()
				run.Files[r.PathValue("name")] = f
				st.touch(run)
				status = http.StatusOK
			}
		})
		w.WriteHeader(status)
	})
}

func (s *Server) serveDownload(w http.ResponseWriter, r *http.Request) {
	s.exchange(w, r, fileRequest("download", r), func(w http.ResponseWriter, _ *applied) {
		var f *file
		s.locked(func(st *store) {
			if run := st.run(r.PathValue("entity"), r.PathValue("project"), r.PathValue("run")); run != nil {
				f = run.Files[r.PathValue("name")]
			}
		})
		if f == nil || f.Size > int64(len(f.Content)) {
			writeError(w, http.StatusNotFound, "this server does not have the file, or not all of it")
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream") // never as a page of this origin
		_, _ = w.Write(f.Content)
	})
}

func fileRequest(operation string, r *http.Request) Request {
	return Request{Operation: operation, Path: r.PathValue("entity") + "/" + r.PathValue("project") + "/" + r.PathValue("run")}
}
