package backend

import "context"

// WithSummary gives the backend whose lists bring along the metrics that keys names at that moment, where the query
// itself names none. Other calls, and a list while there are no keys, are the backend's own.
func WithSummary(b Backend, keys func() []string) Backend {
	return summarized{Backend: b, keys: keys}
}

type summarized struct {
	Backend
	keys func() []string
}

// List fills Query.Summary in.
func (s summarized) List(ctx context.Context, query Query, cursor string) (Page, error) {
	if len(query.Summary) == 0 {
		query.Summary = s.keys()
	}
	return s.Backend.List(ctx, query, cursor)
}
