package graphql

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

type kind int

const (
	end kind = iota
	punct
	name
	number
	text
)

type token struct {
	kind  kind
	value string
	line  int
}

func (t token) String() string {
	if t.kind == end {
		return "<EOF>"
	}
	return strconv.Quote(t.value)
}

// lexer cuts a document into tokens. Commas are blanks, as the language has it.
type lexer struct {
	src  string
	pos  int
	line int
}

func syntaxError(line int, format string, args ...any) error {
	return mistake("Syntax Error: %s (line %d)", fmt.Sprintf(format, args...), line)
}

func (l *lexer) next() (token, error) {
	l.skipIgnored()
	if l.pos >= len(l.src) {
		return token{kind: end, line: l.line}, nil
	}
	rest := l.src[l.pos:]
	c := rest[0]
	switch {
	case strings.HasPrefix(rest, "..."):
		return l.take(punct, 3), nil
	case strings.IndexByte("{}()[]:=!$@|&", c) >= 0:
		return l.take(punct, 1), nil
	case nameByte(c) && !digit(c):
		return l.take(name, span(rest, nameByte)), nil
	case digit(c) || c == '-':
		return l.take(number, 1+span(rest[1:], numberByte)), nil
	case strings.HasPrefix(rest, `"""`):
		return l.blockString()
	case c == '"':
		return l.quoted()
	default:
		r, _ := utf8.DecodeRuneInString(rest)
		return token{}, syntaxError(l.line, "Unexpected character %q", r)
	}
}

func (l *lexer) skipIgnored() {
	for ; l.pos < len(l.src); l.pos++ {
		switch c := l.src[l.pos]; {
		case c == '\n':
			l.line++
		case c == '#':
			l.pos += span(l.src[l.pos:], func(b byte) bool { return b != '\n' }) - 1
		case c != ' ' && c != '\t' && c != '\r' && c != ',':
			return
		}
	}
}

func (l *lexer) take(k kind, n int) token {
	t := token{kind: k, value: l.src[l.pos : l.pos+n], line: l.line}
	l.pos += n
	return t
}

// quoted reads a string literal. Its escapes are those of JSON, which however allows no raw tabs.
func (l *lexer) quoted() (token, error) {
	body := l.src[l.pos:]
	for i := 1; i < len(body); i++ {
		switch body[i] {
		case '\\':
			i++
		case '\n':
			return token{}, syntaxError(l.line, "Unterminated string")
		case '"':
			var value string
			if err := json.Unmarshal([]byte(strings.ReplaceAll(body[:i+1], "\t", `\t`)), &value); err != nil {
				return token{}, syntaxError(l.line, "Invalid character escape sequence in %s", body[:i+1])
			}
			l.pos += i + 1
			return token{kind: text, value: value, line: l.line}, nil
		}
	}
	return token{}, syntaxError(l.line, "Unterminated string")
}

func (l *lexer) blockString() (token, error) {
	body := l.src[l.pos+3:]
	length := strings.Index(body, `"""`)
	if length < 0 {
		return token{}, syntaxError(l.line, "Unterminated string")
	}
	t := token{kind: text, value: strings.TrimSpace(body[:length]), line: l.line}
	l.line += strings.Count(body[:length], "\n")
	l.pos += length + 6
	return t, nil
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

func nameByte(c byte) bool {
	return c == '_' || digit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func numberByte(c byte) bool { return digit(c) || strings.IndexByte("+-.eE", c) >= 0 }

func span(s string, in func(byte) bool) int {
	for i := range len(s) {
		if !in(s[i]) {
			return i
		}
	}
	return len(s)
}
