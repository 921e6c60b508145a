package graphql

import (
	"strconv"
)

// maxDepth bounds the nesting of a document, so that a hostile one cannot exhaust the stack.
const maxDepth = 50

type parser struct {
	lexer lexer
	tok   token
	depth int
	err   error
}

func newParser(src string) *parser {
	p := &parser{lexer: lexer{src: src, line: 1}}
	p.advance()
	return p
}

// Parse reads a document. Its errors read as a server's do ("Syntax Error: …").
func Parse(src string) (*Document, error) {
	p := newParser(src)
	doc := &Document{Fragments: map[string]*Fragment{}}
	for p.err == nil && p.tok.kind != end {
		switch {
		case p.is("{"):
			doc.Operations = append(doc.Operations, &Operation{Kind: "query", Selection: p.selections()})
		case p.is("query"), p.is("mutation"):
			doc.Operations = append(doc.Operations, p.operation())
		case p.is("fragment"):
			p.fragment(doc)
		default:
			p.unexpected()
		}
	}
	if p.err == nil && len(doc.Operations) == 0 {
		p.err = syntaxError(p.tok.line, "Unexpected <EOF>")
	}
	return doc, p.err
}

// advance moves to the next token; after an error there are none.
func (p *parser) advance() {
	if p.err != nil {
		p.tok = token{kind: end}
		return
	}
	if p.tok, p.err = p.lexer.next(); p.err != nil {
		p.tok = token{kind: end}
	}
}

func (p *parser) is(value string) bool {
	return p.tok.value == value && (p.tok.kind == punct || p.tok.kind == name)
}

func (p *parser) accept(value string) bool {
	if !p.is(value) {
		return false
	}
	p.advance()
	return true
}

func (p *parser) expect(value string) {
	if !p.accept(value) {
		p.fail("Expected %q, found %s", value, p.tok)
	}
}

func (p *parser) name() string {
	value := p.tok.value
	if p.tok.kind != name {
		p.fail("Expected Name, found %s", p.tok)
		return ""
	}
	p.advance()
	return value
}

func (p *parser) unexpected() { p.fail("Unexpected %s", p.tok) }

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = syntaxError(p.tok.line, format, args...)
	}
	p.tok = token{kind: end}
}

// nest guards against nesting that is too deep; what it returns ends the level.
func (p *parser) nest() func() {
	p.depth++
	if p.depth > maxDepth {
		p.fail("Document is nested deeper than %d levels", maxDepth)
	}
	return func() { p.depth-- }
}

func (p *parser) operation() *Operation {
	op := &Operation{Kind: p.name()}
	if p.tok.kind == name {
		op.Name = p.name()
	}
	if p.accept("(") {
		for p.err == nil && !p.accept(")") {
			p.expect("$")
			v := Variable{Name: p.name()}
			p.expect(":")
			v.Type = p.typeRef()
			if p.accept("=") {
				v.Default = p.value()
			}
			op.Variables = append(op.Variables, v)
		}
	}
	p.directives()
	op.Selection = p.selections()
	return op
}

func (p *parser) fragment(doc *Document) {
	p.advance()
	key := p.name()
	p.expect("on")
	f := &Fragment{On: p.name()}
	p.directives()
	f.Selection = p.selections()
	if doc.Fragments[key] != nil {
		p.fail("There can be only one fragment named %q.", key)
	}
	doc.Fragments[key] = f
}

func (p *parser) selections() []Selection {
	defer p.nest()()
	p.expect("{")
	var all []Selection
	for p.err == nil && !p.is("}") {
		all = append(all, p.selection())
	}
	if p.err == nil && len(all) == 0 {
		p.unexpected()
	}
	p.expect("}")
	return all
}

func (p *parser) selection() Selection {
	s := Selection{line: p.tok.line}
	if p.accept("...") {
		switch {
		case p.accept("on"):
			s.On = p.name()
		case p.tok.kind == name:
			s.Spread = p.name()
			s.Directives = p.directives()
			return s
		}
		s.Directives = p.directives()
		s.Selection = p.selections()
		return s
	}
	s.Name = p.name()
	if p.accept(":") {
		s.Alias, s.Name = s.Name, p.name()
	}
	s.Args = p.arguments()
	s.Directives = p.directives()
	if p.is("{") {
		s.Selection = p.selections()
	}
	return s
}

func (p *parser) arguments() map[string]any {
	if !p.accept("(") {
		return nil
	}
	args := map[string]any{}
	for p.err == nil && !p.accept(")") {
		key := p.name()
		p.expect(":")
		args[key] = p.value()
	}
	return args
}

func (p *parser) directives() []Directive {
	var all []Directive
	for p.accept("@") {
		all = append(all, Directive{Name: p.name(), Args: p.arguments()})
	}
	return all
}

func (p *parser) typeRef() TypeRef {
	defer p.nest()()
	var t TypeRef
	if p.accept("[") {
		of := p.typeRef()
		t.Of = &of
		p.expect("]")
	} else {
		t.Name = p.name()
	}
	t.NonNull = p.accept("!")
	return t
}

// value reads a literal: nil, bool, float64, string (enum values too), []any, map[string]any, or a ref to a variable.
func (p *parser) value() any {
	defer p.nest()()
	tok := p.tok
	switch {
	case tok.kind == text:
		p.advance()
		return tok.value
	case tok.kind == number:
		f, err := strconv.ParseFloat(tok.value, 64)
		if err != nil {
			p.fail("Invalid number, found %s", tok)
		}
		p.advance()
		return f
	case p.accept("$"):
		return ref(p.name())
	case p.accept("["):
		list := []any{}
		for p.err == nil && !p.accept("]") {
			list = append(list, p.value())
		}
		return list
	case p.accept("{"):
		object := map[string]any{}
		for p.err == nil && !p.accept("}") {
			key := p.name()
			p.expect(":")
			object[key] = p.value()
		}
		return object
	default:
		return word(p.name())
	}
}

func word(s string) any {
	switch s {
	case "null":
		return nil
	case "true", "false":
		return s == "true"
	}
	return s
}
