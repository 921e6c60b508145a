package wandbtest

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/runtag/runtag/internal/backend/wandb/wandbtest/graphql"
)

const (
	maxRequest = 64 << 20
	// maxFile is how much of an uploaded file is kept.
	maxFile = 8 << 20
)

// payload is the body of a GraphQL request.
type payload struct {
	Query         string         `json:"query"`
	OperationName string         `json:"operationName"`
	Variables     map[string]any `json:"variables"`
}

func (s *Server) serveGraphQL(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(w, r)
	var p payload
	if err == nil {
		err = json.Unmarshal(body, &p)
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, fmt.Sprintf("invalid request body: %v", err))
		return
	}
	doc, op, err := open(p)
	request := Request{Operation: p.OperationName, Variables: p.Variables, Bytes: len(p.Query)}
	if err == nil {
		request.describe(op)
	}
	s.exchange(w, r, request, func(w http.ResponseWriter, faults *applied) {
		if err == nil {
			err = faults.tooBig(request)
		}
		if err != nil {
			writeError(w, http.StatusBadRequest, err.Error())
			return
		}
		s.answer(w, r, doc, op, p.Variables, faults)
	})
}

func open(p payload) (*graphql.Document, *graphql.Operation, error) {
	doc, err := graphql.Parse(p.Query)
	if err != nil {
		return nil, nil, err
	}
	op, err := doc.Pick(p.OperationName)
	return doc, op, err
}

// answer runs the operation as one transaction.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, doc *graphql.Document, op *graphql.Operation, variables map[string]any, faults *applied) {
	who := s.caller(r)
	if !who.authorized && s.refuseWith != 0 {
		writeError(w, s.refuseWith, "user is not logged in")
		return
	}
	session := &session{server: s, caller: who, faults: faults, base: baseURL(r)}
	var answer *graphql.Answer
	s.locked(func(st *store) {
		session.store = st
		roots := graphql.Roots{Query: queryRoot{session}, Mutation: mutationRoot{session}}
		answer = schema.Run(doc, op, variables, roots, func(of, field string) bool {
			return of == "Mutation" && field == "modifyRuns" && !s.bulk
		})
	})
	if faults.set.ErrorsAs200 && answer.Data != nil {
		answer.Status = http.StatusOK
	}
	writeJSON(w, answer.Status, answer)
}

// session is one GraphQL request being answered.
type session struct {
	server *Server
	store  *store
	caller caller
	faults *applied
	base   string
}

func baseURL(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var body io.Reader = http.MaxBytesReader(w, r.Body, maxRequest)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			return nil, err
		}
		body = io.LimitReader(unzipped, maxRequest)
	}
	return io.ReadAll(body)
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// A client that went away is told nothing; there is no one else to tell.
	_, _ = w.Write(body)
}

func writeError(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, graphql.Answer{Errors: []graphql.Error{{Message: message}}})
}
