package mongo

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var document = map[string]any{
	"name":      "r1",
	"empty":     "",
	"n":         2.5,
	"yes":       true,
	"tags":      []string{"a", "b"},
	"list":      []any{1.0, "x"},
	"createdAt": time.Date(2026, 7, 15, 12, 0, 0, 0, time.UTC),
	"nothing":   nil,
}

func lookup(key string) any { return document[key] }

func known(key string) bool {
	_, ok := document[key]
	return ok
}

func TestMatch(t *testing.T) {
	for filter, tc := range map[string]struct {
		want   bool
		reason string
	}{
		``:                                                   {true, "no filter matches everything"},
		`{}`:                                                 {true, "nor does an empty one restrict"},
		`{"name":"r1"}`:                                      {true, "a bare value is $eq"},
		`{"name":"R1"}`:                                      {false, "case matters"},
		`{"name":"r1","n":3}`:                                {false, "several keys are ANDed"},
		`{"name":{"$eq":"r1","$ne":"r1"}}`:                   {false, "so are several operators"},
		`{"name":{"$ne":"r2"}}`:                              {true, "$ne of another value"},
		`{"n":2.5}`:                                          {true, "numbers are equal by value"},
		`{"n":"2.5"}`:                                        {false, "a number is not a string"},
		`{"n":{"$gt":2,"$lt":3}}`:                            {true, "a range"},
		`{"n":{"$gt":2.5}}`:                                  {false, "$gt leaves the bound out"},
		`{"n":{"$gte":2.5,"$lte":2.5}}`:                      {true, "$gte and $lte take it in"},
		`{"n":{"$lt":"z"}}`:                                  {false, "values of different kinds have no order"},
		`{"yes":true}`:                                       {true, "booleans"},
		`{"tags":"a"}`:                                       {true, "a list equals what it contains"},
		`{"tags":{"$ne":"a"}}`:                               {false, "and is not unequal to it"},
		`{"tags":["a","b"]}`:                                 {true, "a list equals the same list"},
		`{"tags":["b","a"]}`:                                 {false, "in the same order"},
		`{"tags":{"$in":["z","b"]}}`:                         {true, "$in: one of them is there"},
		`{"tags":{"$in":[]}}`:                                {false, "$in of nothing"},
		`{"tags":{"$nin":["z"]}}`:                            {true, "$nin: none of them is there"},
		`{"tags":{"$nin":["z","a"]}}`:                        {false, "$nin: one of them is there"},
		`{"tags":{"$all":["b","a"]}}`:                        {true, "$all: each is there"},
		`{"tags":{"$all":["a","z"]}}`:                        {false, "$all: one is not"},
		`{"tags":{"$all":[]}}`:                               {false, "$all of nothing matches nothing"},
		`{"list":{"$in":[1]}}`:                               {true, "lists of mixed kinds"},
		`{"name":{"$in":["r1"]}}`:                            {true, "$in of a scalar"},
		`{"name":{"$regex":"^r"}}`:                           {true, "$regex"},
		`{"name":{"$regex":"^1"}}`:                           {false, "$regex that does not match"},
		`{"tags":{"$regex":"^b$"}}`:                          {true, "$regex on one item of a list"},
		`{"n":{"$regex":"2"}}`:                               {false, "$regex needs a string"},
		`{"nothing":{"$exists":false}}`:                      {true, "null counts as absent"},
		`{"empty":{"$exists":true}}`:                         {true, "an empty string does not"},
		`{"nothing":null}`:                                   {true, "null equals null"},
		`{"name":null}`:                                      {false, "and nothing else"},
		`{"nothing":{"$gt":0}}`:                              {false, "null has no order"},
		`{"$or":[{"n":0},{"name":"r1"}]}`:                    {true, "$or"},
		`{"$or":[{"n":0},{"name":"r2"}]}`:                    {false, "$or of two that do not match"},
		`{"$and":[{"n":2.5},{"name":"x"}]}`:                  {false, "$and"},
		`{"$nor":[{"n":0},{"name":"r2"}]}`:                   {true, "$nor"},
		`{"$nor":[{"n":2.5}]}`:                               {false, "$nor of one that matches"},
		`{"createdAt":{"$gt":"2026-07-15T11:59:59Z"}}`:       {true, "times are compared as times"},
		`{"createdAt":{"$gte":"2026-07-15T14:00:00+02:00"}}`: {true, "in any zone"},
		`{"createdAt":"2026-07-15T12:00:00Z"}`:               {true, "also for equality"},
		`{"createdAt":{"$gt":"2026-07-15T11:59:59"}}`:        {false, "a time without a zone matches nothing, without a word"},
		`{"createdAt":{"$gt":0}}`:                            {false, "and a number is no time"},
	} {
		match, err := Parse(filter, known)
		if err != nil {
			t.Errorf("%s: %v", filter, err)
			continue
		}
		if got := match(lookup); got != tc.want {
			t.Errorf("%s: got %v, want %v: %s", filter, got, tc.want, tc.reason)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for filter, want := range map[string]string{
		`{`:                         "not a JSON object",
		`[]`:                        "not a JSON object",
		`{"n":NaN}`:                 "not a JSON object",
		`{} {}`:                     "more than one JSON value",
		`{"other":1}`:               `unknown key "other"`,
		`{"$where":"1"}`:            "unknown operator $where",
		`{"n":{"$near":1}}`:         "n: unknown operator $near",
		`{"n":{"a":1}}`:             "n: unknown operator a",
		`{"n":{"$in":1}}`:           "n: $in needs a list",
		`{"n":{"$exists":1}}`:       "n: $exists needs true or false",
		`{"n":{"$regex":1}}`:        "n: $regex needs a string",
		`{"n":{"$regex":"("}}`:      "n: $regex: error parsing regexp",
		`{"$or":{}}`:                "$or must be a list that is not empty",
		`{"$and":[]}`:               "$and must be a list that is not empty",
		`{"$nor":[1]}`:              "$nor must be a list of objects",
		`{"$or":[{"n":{"$x":1}}]}`:  "n: unknown operator $x",
		`{"$and":[{"$or":"name"}]}`: "$or must be a list that is not empty",
	} {
		if _, err := Parse(filter, known); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", filter, err, want)
		}
	}
}

// TestNorIsNot: $nor of one filter is its opposite, and $and and $or of it are itself.
func TestNorIsNot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		inner := draw(t, 2)
		match := func(group string) bool {
			filter := inner
			if group != "" {
				filter = map[string]any{group: []any{inner}}
			}
			source, err := json.Marshal(filter)
			if err != nil {
				t.Fatal(err)
			}
			f, err := Parse(string(source), known)
			if err != nil {
				t.Fatalf("%s: %v", source, err)
			}
			return f(lookup)
		}
		is := match("")
		if match("$nor") == is || match("$and") != is || match("$or") != is {
			t.Fatalf("%v: is %v, $nor %v, $and %v, $or %v", inner, is, match("$nor"), match("$and"), match("$or"))
		}
	})
}

func draw(t *rapid.T, depth int) map[string]any {
	if depth > 0 && rapid.Bool().Draw(t, "group") {
		op := rapid.SampledFrom([]string{"$and", "$or", "$nor"}).Draw(t, "op")
		return map[string]any{op: []any{draw(t, depth-1), draw(t, depth-1)}}
	}
	key := rapid.SampledFrom([]string{"name", "n", "tags", "nothing", "yes", "createdAt"}).Draw(t, "key")
	value := rapid.SampledFrom([]any{"r1", "a", 2.5, 3, true, nil, "2026-07-15T12:00:00Z"}).Draw(t, "value")
	op := rapid.SampledFrom([]string{"$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$all"}).Draw(t, "op")
	if op == "$in" || op == "$nin" || op == "$all" {
		value = []any{value}
	}
	return map[string]any{key: map[string]any{op: value}}
}
