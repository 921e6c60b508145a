// Package metric reads the values of metrics as trackers write them in JSON, which has no way to write some numbers.
package metric

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// special are the numbers that JSON has no way to write, as Python, protobuf and W&B's SDK write them: as these words,
// with quotes around them or without.
var special = map[string]float64{"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1)}

// Value reads one value, and says whether it is a number. One that is too large for a float64 is infinite.
func Value(raw json.RawMessage) (float64, bool) {
	text := string(bytes.TrimSpace(raw))
	if bare := strings.Trim(text, `"`); len(bare) == len(text)-2 {
		number, ok := special[bare]
		return number, ok
	}
	number, err := strconv.ParseFloat(text, 64)
	// ParseFloat takes more than JSON has, so that the first character is looked at as well.
	if err != nil && !errors.Is(err, strconv.ErrRange) || !strings.ContainsAny(text[:1], "-0123456789") {
		return 0, false
	}
	return number, true
}

// Pick reads of a JSON object the values with these keys that are numbers. A key is a name; where the object has none
// like it and the key has dots, what is before one of them names an object that holds the rest: a.b is {"a":{"b":1}}.
// The result is never nil. Null is an object without values.
func Pick(object []byte, keys []string) (map[string]float64, error) {
	picked := map[string]float64{}
	var fields map[string]json.RawMessage
	err := json.Unmarshal(object, &fields)
	if err != nil {
		err = json.Unmarshal(Quote(object), &fields)
	}
	if err != nil {
		return picked, fmt.Errorf("reading an object of metrics: %w", err)
	}
	for _, key := range keys {
		if number, ok := Value(find(fields, key)); ok {
			picked[key] = number
		}
	}
	return picked, nil
}

// find gives the value of a key, nil where there is none.
func find(fields map[string]json.RawMessage, key string) json.RawMessage {
	if raw, there := fields[key]; there {
		return raw
	}
	for i, char := range key {
		if char != '.' {
			continue
		}
		var inner map[string]json.RawMessage
		if outer, there := fields[key[:i]]; !there || json.Unmarshal(outer, &inner) != nil {
			continue // What is no object holds nothing.
		}
		if raw := find(inner, key[i+1:]); raw != nil {
			return raw
		}
	}
	return nil
}

// Parents gives the keys together with the objects that Pick looks into for those with dots, for trackers that give only
// what they are asked for by its outermost name. Each comes once.
func Parents(keys []string) []string {
	var all []string
	seen := map[string]bool{}
	add := func(key string) {
		if !seen[key] {
			seen[key] = true
			all = append(all, key)
		}
	}
	for _, key := range keys {
		add(key)
	}
	for _, key := range keys {
		for i, char := range key {
			if char == '.' && i > 0 {
				add(key[:i])
			}
		}
	}
	return all
}

// Quote puts quotes around the words for numbers that stand bare in what is JSON otherwise, as Python and W&B's SDK
// write them, so that it is JSON.
func Quote(text []byte) []byte {
	out := make([]byte, 0, len(text)+16)
	inString := false
	for i := 0; i < len(text); {
		word := ""
		switch char := text[i]; {
		case inString && char == '\\':
			word = string(text[i:min(i+2, len(text))])
		case char == '"':
			inString = !inString
		case !inString:
			word = bareWord(text[i:])
		}
		switch {
		case word == "":
			out = append(out, text[i])
			i++
			continue
		case inString:
			out = append(out, word...)
		default:
			out = append(append(append(out, '"'), word...), '"')
		}
		i += len(word)
	}
	return out
}

// bareWord gives the word for a number that the text begins with, empty where it is none.
func bareWord(text []byte) string {
	for word := range special {
		if bytes.HasPrefix(text, []byte(word)) {
			return word
		}
	}
	return ""
}
