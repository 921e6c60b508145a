package graphql

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const testSchema = `
scalar JSON
"A thing."
type Thing { id: ID! size: Int tags: [String!] inner(deep: Boolean = false): Thing all: [Thing!]! fails: Int }
type Query { thing(id: ID!, tags: [String], where: Where): Thing none: Thing any: JSON secret: Int }
type Mutation { set(input: Where!): Thing }
input Where { id: ID! tags: [String] n: Int limit: Float on: Boolean }
`

// thing answers with what it was asked for, so that tests see the arguments that arrived.
type thing struct{ args Args }

func (t thing) Field(name string, args Args) (any, error) {
	switch name {
	case "thing":
		return thing{args}, nil
	case "set":
		return thing{args.Object("input")}, nil
	case "inner":
		if args.Bool("deep") {
			return thing{Args{"id": "deep"}}, nil
		}
		return thing{Args{"id": "inner"}}, nil
	case "all":
		return []Object{thing{Args{"id": "0"}}, thing{Args{"id": "1"}}}, nil
	case "id":
		return t.args.String("id"), nil
	case "size":
		return len(t.args), nil
	case "tags":
		return t.args.Strings("tags"), nil
	case "fails":
		return nil, Refuse(http.StatusTeapot, "no tea")
	case "any":
		return map[string]any{"a": 1}, nil
	}
	return nil, nil
}

func execute(t testing.TB, query, operation string, variables map[string]any) *Answer {
	t.Helper()
	s, err := ParseSchema(testSchema)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := Parse(query)
	if err != nil {
		return refused(err)
	}
	op, err := doc.Pick(operation)
	if err != nil {
		return refused(err)
	}
	return s.Run(doc, op, variables, Roots{Query: thing{}, Mutation: thing{}}, func(of, field string) bool {
		return of == "Query" && field == "secret"
	})
}

type fields = map[string]any

func TestRunAnswersWhatIsSelected(t *testing.T) {
	for name, tc := range map[string]struct {
		reason    string
		query     string
		operation string
		variables map[string]any
		want      map[string]any
	}{
		"shorthand": {
			reason: "a document may be a bare selection",
			query:  `{ any }`, want: fields{"any": fields{"a": 1}},
		},
		"aliases": {
			reason: "aliases let one field be asked for twice",
			query:  `query Q { a: thing(id: "1") { id } b: thing(id: 2) { id __typename } }`,
			want:   fields{"a": fields{"id": "1"}, "b": fields{"id": "2", "__typename": "Thing"}},
		},
		"variables": {
			reason:    "variables stand for values, also inside lists and input objects",
			query:     `mutation M($id: ID!, $t: String, $n: Int = 3) { set(input: {id: $id, tags: ["a", $t], n: $n}) { id tags size } }`,
			variables: fields{"id": "x", "t": "b"},
			want:      fields{"set": fields{"id": "x", "tags": []string{"a", "b"}, "size": 3}},
		},
		"absent variable": {
			reason: "a variable that was not given is as if the argument were absent, not null and not empty",
			query:  `mutation M($id: ID!, $t: [String!]) { set(input: {id: $id, tags: $t}) { tags size } }`, variables: fields{"id": "x"},
			want: fields{"set": fields{"tags": []string(nil), "size": 1}},
		},
		"empty list": {
			reason: "an empty list is not null: it is how tags are cleared",
			query:  `query Q($t: [String]) { thing(id: "1", tags: $t) { tags } }`, variables: fields{"t": []any{}},
			want: fields{"thing": fields{"tags": []string{}}},
		},
		"one for a list": {
			reason: "the language lets one value stand for a list of one",
			query:  `query Q($t: [String]) { thing(id: "1", tags: $t) { tags } }`, variables: fields{"t": "a"},
			want: fields{"thing": fields{"tags": []string{"a"}}},
		},
		"fragments": {
			reason: "fragments, named and inline, are merged into the selection",
			query:  `query Q { thing(id: "1") { ...F ... on Thing { inner { id } } ... { __typename } } } fragment F on Thing { id inner { size } }`,
			want:   fields{"thing": fields{"id": "1", "__typename": "Thing", "inner": fields{"id": "inner", "size": 1}}},
		},
		"directives": {
			reason:    "include and skip leave fields out",
			query:     `query Q($y: Boolean!, $n: Boolean!) { a: thing(id: "1") { id @include(if: $y) size @include(if: $n) tags @skip(if: $y) x: id @skip(if: $n) } }`,
			variables: fields{"y": true, "n": false},
			want:      fields{"a": fields{"id": "1", "x": "1"}},
		},
		"operation name": {
			reason: "of several operations the name picks one",
			query:  `query A { none { id } } query B { any }`, operation: "B",
			want: fields{"any": fields{"a": 1}},
		},
		"lists": {
			reason: "a list of objects is answered item by item",
			query:  `{ thing(id: "1") { all { id } } }`,
			want:   fields{"thing": fields{"all": []any{fields{"id": "0"}, fields{"id": "1"}}}},
		},
		"strings": {
			reason: "escapes, block strings, comments and commas are read",
			query:  "# a comment\n{ thing(id: \"\\u00e9\\ud83d\\ude80\\\"\\/\\t\", tags: [\"\"\"\n block \"quoted\" \"\"\",,]) { id, tags } } # end",
			want:   fields{"thing": fields{"id": "é🚀\"/\t", "tags": []string{`block "quoted"`}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			answer := execute(t, tc.query, tc.operation, tc.variables)
			if diff := cmp.Diff(&Answer{Data: tc.want, Status: 200}, answer); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestRunRefusesTheWholeDocument(t *testing.T) {
	deep := strings.Repeat("{ inner ", 60) + strings.Repeat("}", 60)
	for name, tc := range map[string]struct {
		query     string
		variables map[string]any
		want      string
	}{
		"unknown field":        {query: `{ thing(id: 1) { name } }`, want: `Cannot query field "name" on type "Thing".`},
		"hidden field":         {query: `{ secret }`, want: `Cannot query field "secret" on type "Query".`},
		"unknown argument":     {query: `{ thing(id: 1, nam: 2) { id } }`, want: `Unknown argument "nam" on field "Query.thing".`},
		"missing argument":     {query: `{ thing { id } }`, want: `Field "Query.thing" argument "id" of type "ID!" is required, but it was not provided.`},
		"null argument":        {query: `{ thing(id: null) { id } }`, want: `Expected value of type "ID!", found null.`},
		"wrong literal":        {query: `{ thing(id: true) { id } }`, want: `Expected value of type "ID", found true.`},
		"unknown input field":  {query: `mutation { set(input: {id: 1, x: 2}) { id } }`, want: `Unknown argument "x" on field "Where".`},
		"no selection":         {query: `{ thing(id: 1) }`, want: `Field "thing" of type "Thing" must have a selection of subfields. Did you mean "thing { ... }"?`},
		"selection of scalar":  {query: `{ thing(id: 1) { id { x } } }`, want: `Field "id" must not have a selection since type "ID!" has no subfields.`},
		"same key twice":       {query: `{ thing(id: 1) { id } thing(id: 2) { id } }`, want: `Fields "thing" conflict because`},
		"undeclared variable":  {query: `{ thing(id: $x) { id } }`, want: `Variable "$x" is not defined.`},
		"unused variable":      {query: `query Q($x: Int) { any }`, want: `Variable "$x" is never used in operation "Q".`},
		"variable's type":      {query: `query Q($x: String!) { thing(id: $x) { id } }`, want: `Variable "$x" of type "String!" used in position expecting type "ID!".`},
		"nullable variable":    {query: `query Q($x: ID) { thing(id: $x) { id } }`, want: `Variable "$x" of type "ID" used in position expecting type "ID!".`},
		"variable not given":   {query: `query Q($x: ID!) { thing(id: $x) { id } }`, want: `Variable "$x" of required type "ID!" was not provided.`},
		"variable null":        {query: `query Q($x: ID!) { thing(id: $x) { id } }`, variables: fields{"x": nil}, want: `Variable "$x" got invalid value: Expected value of type "ID!", found null.`},
		"variable's value":     {query: `query Q($x: Where) { thing(id: 1, where: $x) { id } }`, variables: fields{"x": fields{"id": "1", "n": 1.5}}, want: `Expected value of type "Int", found 1.5.`},
		"variable's field":     {query: `query Q($x: Where) { thing(id: 1, where: $x) { id } }`, variables: fields{"x": fields{"id": "1", "z": 1.0}}, want: `Field "z" is not defined by type "Where".`},
		"input lacks field":    {query: `query Q($x: Where) { thing(id: 1, where: $x) { id } }`, variables: fields{"x": fields{}}, want: `Field "Where.id" of required type "ID!" was not provided.`},
		"unknown type":         {query: `query Q($x: Wat) { any }`, want: `Unknown type "Wat".`},
		"unknown fragment":     {query: `{ ...F }`, want: `Unknown fragment "F".`},
		"fragment's type":      {query: `{ ...F } fragment F on Thing { id }`, want: `Fragment cannot be spread here`},
		"fragment in itself":   {query: `{ ...F } fragment F on Query { any ...F }`, want: `Cannot spread fragment "F" within itself.`},
		"unknown directive":    {query: `{ any @live }`, want: `Unknown directive "@live".`},
		"no operation":         {query: `fragment F on Thing { id }`, want: `Syntax Error: Unexpected <EOF>`},
		"which operation":      {query: `query A { any } query B { any }`, want: `Must provide operation name if query contains multiple operations.`},
		"empty":                {query: ``, want: `Syntax Error: Unexpected <EOF> (line 1)`},
		"empty selection":      {query: `{ thing(id: 1) { } }`, want: `Syntax Error: Unexpected "}"`},
		"open selection":       {query: "{ thing(id: 1)\n{ id ", want: `Syntax Error: Expected Name, found <EOF> (line 2)`},
		"open string":          {query: `{ thing(id: "1) { id } }`, want: `Syntax Error: Unterminated string`},
		"bad escape":           {query: `{ thing(id: "\x") { id } }`, want: `Syntax Error: Invalid character escape sequence`},
		"stray character":      {query: `{ any % }`, want: `Syntax Error: Unexpected character '%'`},
		"nested without bound": {query: deep, want: `Syntax Error: Document is nested deeper than 50 levels`},
	} {
		t.Run(name, func(t *testing.T) {
			answer := execute(t, tc.query, "", tc.variables)
			if answer.Status != http.StatusBadRequest || answer.Data != nil || len(answer.Errors) != 1 {
				t.Fatalf("got %+v, want one error, status 400 and no data", answer)
			}
			if got := answer.Errors[0].Message; !strings.Contains(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestRunGoesOnAfterAFailedField(t *testing.T) {
	answer := execute(t, `{ a: thing(id: 1) { fails id } b: thing(id: 2) { all { fails } } }`, "", nil)
	want := &Answer{
		Status: http.StatusTeapot,
		Data:   fields{"a": fields{"fails": nil, "id": "1"}, "b": fields{"all": []any{fields{"fails": nil}, fields{"fails": nil}}}},
		Errors: []Error{
			{Message: "no tea", Path: []any{"a", "fails"}},
			{Message: "no tea", Path: []any{"b", "all", 0, "fails"}},
			{Message: "no tea", Path: []any{"b", "all", 1, "fails"}},
		},
	}
	if diff := cmp.Diff(want, answer); diff != "" {
		t.Errorf("each failed field is null and named, and the first decides the status (-want +got):\n%s", diff)
	}
}

func TestFragmentsThatMultiplyAreRefused(t *testing.T) {
	var doc strings.Builder
	doc.WriteString("{ ...F0 }\n")
	for i := range 20 {
		fmt.Fprintf(&doc, "fragment F%d on Query { ...F%d ...F%d }\n", i, i+1, i+1)
	}
	doc.WriteString("fragment F20 on Query { any }")
	answer := execute(t, doc.String(), "", nil)
	if len(answer.Errors) != 1 || !strings.Contains(answer.Errors[0].Message, "selects more than") {
		t.Errorf("a million fields were run: %+v", answer.Errors)
	}
}

func TestParseSchemaNamesWhatItLacks(t *testing.T) {
	for source, want := range map[string]string{
		`type Query { a: Missing }`:              `schema: Query.a is of unknown type Missing`,
		`type Query { a(x: Missing): Int }`:      `schema: Query.a takes x of unknown type Missing`,
		`input I { x: [Missing!]! }`:             `schema: I takes x of unknown type Missing`,
		`enum E { A }`:                           `Syntax Error: Unexpected "enum" (line 1)`,
		`type Query { a Int }`:                   `Syntax Error: Expected ":", found "Int" (line 1)`,
		`type Query { a(x: Query): Int }`:        `schema: Query.a takes x of unknown type Query`,
		`input I { x: Int } type Query { a: I }`: `schema: Query.a is of unknown type I`,
	} {
		if _, err := ParseSchema(source); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", source, err, want)
		}
	}
}

func TestSyntaxErrorsAreNoRefusals(t *testing.T) {
	_, err := Parse("{")
	var refusal *Refusal
	if err == nil || errors.As(err, &refusal) {
		t.Errorf("got %v", err)
	}
}

// TestStringsArriveAsTheyWereSent: a string literal written as JSON is read as the same string.
func TestStringsArriveAsTheyWereSent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOf(rapid.String()).Draw(t, "strings")
		variables := fields{"t": anys(list)}
		doc, err := Parse(`query Q($t: [String]) { thing(id: "1", tags: $t) { tags } }`)
		if err != nil {
			t.Fatal(err)
		}
		s, err := ParseSchema(testSchema)
		if err != nil {
			t.Fatal(err)
		}
		answer := s.Run(doc, doc.Operations[0], variables, Roots{Query: thing{}}, func(string, string) bool { return false })
		got := answer.Data["thing"].(fields)["tags"].([]string)
		if !slices.Equal(got, list) {
			t.Fatalf("got %q, want %q", got, list)
		}
	})
}

func anys(list []string) []any {
	out := []any{}
	for _, s := range list {
		out = append(out, s)
	}
	return out
}

// FuzzParse: no document makes the parser or the checks fail in another way than by an error.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{ a }`, `query Q($x: [Int!]! = [1]) { a: thing(id: "1", where: {n: $x}) { ...F ... on Thing { id } } } fragment F on Thing { id @skip(if: true) }`,
		`mutation { set(input: {id: """x"""}) { id } }`, `{ thing(id: -1.5e3) { id } } # x`, `"\u12`, `{{{{`, "\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		answer := execute(t, source, "", fields{"x": []any{1.0}})
		if answer.Data == nil && len(answer.Errors) == 0 {
			t.Errorf("neither data nor an error for %q", source)
		}
	})
}
