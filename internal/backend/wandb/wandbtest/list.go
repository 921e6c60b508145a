package wandbtest

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/runtag/runtag/internal/backend/wandb/wandbtest/graphql"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest/mongo"
)

// maxPage is the most runs that one page holds, however many are asked for.
const maxPage = 1000

// matching gives the project's runs that match, in the order in which they were made.
func (p projectNode) matching(filters string, names []string) ([]*record, error) {
	match, err := mongo.Parse(filters, knownKey)
	if err != nil {
		return nil, graphql.Refuse(http.StatusBadRequest, "%v", err)
	}
	var out []*record
	for _, r := range p.store.runs(p.project) {
		if (names == nil || slices.Contains(names, r.ID)) && match(r.value) {
			out = append(out, r)
		}
	}
	return out, nil
}

// runColumns are the keys that runs can be filtered and sorted by, apart from config and summary.
var runColumns = map[string]func(r *record) any{
	"name":        func(r *record) any { return r.ID },
	"displayName": func(r *record) any { return r.DisplayName },
	"state":       func(r *record) any { return r.State },
	"tags":        func(r *record) any { return r.Tags },
	"group":       func(r *record) any { return orNull(r.Group) },
	"jobType":     func(r *record) any { return orNull(r.JobType) },
	"host":        func(r *record) any { return orNull(r.Host) },
	"username":    func(r *record) any { return orNull(r.User) },
	"notes":       func(r *record) any { return orNull(r.Notes) },
	"createdAt":   func(r *record) any { return r.CreatedAt },
	"heartbeatAt": func(r *record) any { return r.HeartbeatAt },
	"updatedAt":   func(r *record) any { return r.UpdatedAt },
	"duration":    func(r *record) any { return r.HeartbeatAt.Sub(r.CreatedAt).Seconds() },
}

// aliases are the other names of columns that clients use.
var aliases = map[string]string{
	"created_at": "createdAt", "heartbeat_at": "heartbeatAt", "updated_at": "updatedAt",
	"display_name": "displayName", "user": "username", "job_type": "jobType",
}

func knownKey(key string) bool {
	if alias, ok := aliases[key]; ok {
		key = alias
	}
	_, ok := runColumns[key]
	return ok || strings.HasPrefix(key, "config.") || strings.HasPrefix(key, "summary_metrics.")
}

// value is the run's value for a filter's or an order's key.
func (r *record) value(key string) any {
	if alias, ok := aliases[key]; ok {
		key = alias
	}
	if column, ok := runColumns[key]; ok {
		return column(r)
	}
	if rest, ok := strings.CutPrefix(key, "summary_metrics."); ok {
		return dig(r.Summary, rest)
	}
	rest := strings.TrimPrefix(key, "config.")
	value := dig(r.Config, rest)
	if wrapped, ok := value.(map[string]any); ok && wrapped["value"] != nil {
		return wrapped["value"] // the SDK wraps each value, and filters may name it with or without
	}
	if value == nil {
		if first, inner, ok := strings.Cut(rest, "."); ok {
			return dig(r.Config, first+".value."+inner)
		}
	}
	return value
}

// dig finds a value by a path with dots; a key that has dots itself comes first.
func dig(values map[string]any, path string) any {
	if value, ok := values[path]; ok {
		return value
	}
	first, rest, ok := strings.Cut(path, ".")
	if !ok {
		return nil
	}
	inner, _ := values[first].(map[string]any)
	return dig(inner, rest)
}

// order sorts runs by a key and then by when they were made, and finds places in that order again.
type order struct {
	key        string
	descending bool
}

func parseOrder(src string) (order, error) {
	o := order{key: src}
	if strings.HasPrefix(src, "+") || strings.HasPrefix(src, "-") {
		o.key, o.descending = src[1:], src[0] == '-'
	}
	if src == "" {
		o.key = "created_at"
	}
	if !knownKey(o.key) {
		return o, graphql.Refuse(http.StatusBadRequest, "invalid order %q", src)
	}
	return o, nil
}

// place is where a run stands in an order; a cursor is one in writing.
type place struct {
	Value any   `json:"v"`
	Seq   int64 `json:"s"`
}

func (o order) place(r *record) place {
	value := r.value(o.key)
	if t, ok := value.(interface{ Unix() int64 }); ok {
		value = float64(t.Unix())
	}
	if list, ok := value.([]string); ok {
		value = strings.Join(list, ",")
	}
	return place{value, r.Seq}
}

// compare puts what has no value first, then numbers, then strings, and turns that round where it is descending.
func (o order) compare(a, b place) int {
	by, ok := mongo.Compare(a.Value, b.Value)
	if !ok {
		by = rank(a.Value) - rank(b.Value)
	}
	if o.descending {
		by = -by
	}
	if by == 0 {
		by = int(a.Seq - b.Seq)
	}
	return by
}

func rank(value any) int {
	switch value.(type) {
	case nil:
		return 0
	case bool:
		return 1
	case float64:
		return 2
	case string:
		return 3
	}
	return 4
}

// sort looks at each run once, since values may have to be dug up.
func (o order) sort(runs []*record) {
	type placed struct {
		place
		run *record
	}
	all := make([]placed, len(runs))
	for i, r := range runs {
		all[i] = placed{o.place(r), r}
	}
	slices.SortFunc(all, func(a, b placed) int { return o.compare(a.place, b.place) })
	for i := range all {
		runs[i] = all[i].run
	}
}

func (p place) cursor() string {
	body, err := json.Marshal(p)
	if err != nil {
		return "" // a value that came from JSON can be written as JSON
	}
	return base64.RawURLEncoding.EncodeToString(body)
}

func parseCursor(cursor string) (place, error) {
	var p place
	body, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		err = json.Unmarshal(body, &p)
	}
	if err != nil {
		return p, graphql.Refuse(http.StatusBadRequest, "invalid cursor %q", cursor)
	}
	return p, nil
}

func (p projectNode) runs(args graphql.Args) (any, error) {
	by, err := parseOrder(args.String("order"))
	if err != nil {
		return nil, err
	}
	matching, err := p.matching(args.String("filters"), args.Strings("names"))
	if err != nil {
		return nil, err
	}
	total := len(matching)
	by.sort(matching)
	if cursor := args.String("after"); cursor != "" {
		after, err := parseCursor(cursor)
		if err != nil {
			return nil, err
		}
		matching = slices.DeleteFunc(matching, func(r *record) bool { return by.compare(by.place(r), after) <= 0 })
	}
	size := min(max(args.Int("first", 50), 0), maxPage)
	page := matching[:min(size, len(matching))]
	return p.connection(page, by, len(matching) > len(page), total, args.String("after") != ""), nil
}

// connection leaves hidden rows out of the edges, while the page's cursors count them, as the real server does.
func (p projectNode) connection(page []*record, by order, more bool, total int, previous bool) graphql.Object {
	hidden := map[*record]bool{}
	for _, r := range p.Runs[:min(p.faults.set.HiddenRows, len(p.Runs))] {
		hidden[r] = true
	}
	info := graphql.Values{"hasNextPage": more, "hasPreviousPage": previous}
	edges := []graphql.Object{}
	for i, r := range page {
		cursor := by.place(r).cursor()
		if i == 0 {
			info["startCursor"] = cursor
		}
		info["endCursor"] = cursor
		if !hidden[r] {
			edges = append(edges, graphql.Values{"node": runNode{p.session, r}, "cursor": cursor})
		}
	}
	return graphql.Values{"edges": edges, "pageInfo": info, "totalCount": total}
}

// window is a page of something that is paged by offset.
type window struct{ start, end, total int }

func offsetPage[T any](all []T, args graphql.Args) ([]T, window, error) {
	w := window{total: len(all)}
	if cursor := args.String("after"); cursor != "" {
		n, err := strconv.Atoi(cursor)
		if err != nil || n < 0 {
			return nil, w, graphql.Refuse(http.StatusBadRequest, "invalid cursor %q", cursor)
		}
		w.start = min(n, len(all))
	}
	w.end = min(w.start+min(max(args.Int("first", 50), 0), maxPage), len(all))
	return all[w.start:w.end], w, nil
}

func (w window) cursor(i int) string { return strconv.Itoa(w.start + i + 1) }

func (w window) node() graphql.Object {
	return graphql.Values{
		"hasNextPage": w.end < w.total, "hasPreviousPage": w.start > 0,
		"startCursor": strconv.Itoa(w.start + 1), "endCursor": strconv.Itoa(w.end),
	}
}
