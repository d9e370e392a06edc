// Renders a Helm chart as `helm template` does: text/template and sprig, as in Helm's own engine, with the few functions
// that Helm adds. For machines without helm; what it does not know is an error, never left out.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"github.com/ghodss/yaml"
)

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: render CHART RELEASE NAMESPACE [VALUES.yaml...]")
		os.Exit(2)
	}
	text, err := render(os.Args[1], os.Args[2], os.Args[3], os.Args[4:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
	fmt.Print(text)
}

func read(path string) (map[string]interface{}, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	values := map[string]interface{}{}
	if err := yaml.Unmarshal(text, &values); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return values, nil
}

// Tables are merged, everything else is replaced; null removes.
func merge(under, over map[string]interface{}) {
	for key, value := range over {
		inner, isTable := value.(map[string]interface{})
		before, wasTable := under[key].(map[string]interface{})
		switch {
		case value == nil:
			delete(under, key)
		case isTable && wasTable:
			merge(before, inner)
		default:
			under[key] = value
		}
	}
}

func render(chart, release, namespace string, files []string) (string, error) {
	meta, err := read(filepath.Join(chart, "Chart.yaml"))
	if err != nil {
		return "", err
	}
	values, err := read(filepath.Join(chart, "values.yaml"))
	if err != nil {
		return "", err
	}
	for _, file := range files {
		over, err := read(file)
		if err != nil {
			return "", err
		}
		merge(values, over)
	}
	// Chart.yaml's keys with capitals, as Helm's own type has them.
	described := map[string]interface{}{}
	for key, value := range meta {
		described[strings.ToUpper(key[:1])+key[1:]] = value
	}
	context := map[string]interface{}{
		"Values":  values,
		"Chart":   described,
		"Release": map[string]interface{}{"Name": release, "Namespace": namespace, "Service": "Helm", "Revision": 1, "IsInstall": true, "IsUpgrade": false},
	}
	root := template.New(filepath.Base(chart)).Option("missingkey=zero")
	functions := sprig.TxtFuncMap()
	delete(functions, "env")
	delete(functions, "expandenv")
	functions["toYaml"] = func(value interface{}) (string, error) {
		text, err := yaml.Marshal(value)
		return strings.TrimSuffix(string(text), "\n"), err
	}
	functions["include"] = func(name string, data interface{}) (string, error) {
		var out bytes.Buffer
		err := root.ExecuteTemplate(&out, name, data)
		return out.String(), err
	}
	functions["tpl"] = func(text string, data interface{}) (string, error) {
		inner, err := root.Clone()
		if err != nil {
			return "", err
		}
		if inner, err = inner.New("tpl").Parse(text); err != nil {
			return "", err
		}
		var out bytes.Buffer
		err = inner.Execute(&out, data)
		return out.String(), err
	}
	functions["required"] = func(message string, value interface{}) (interface{}, error) {
		if value == nil || value == "" {
			return nil, fmt.Errorf("%s", message)
		}
		return value, nil
	}
	root.Funcs(functions)
	paths, err := filepath.Glob(filepath.Join(chart, "templates", "*"))
	if err != nil {
		return "", err
	}
	sort.Strings(paths)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		if _, err := root.New(filepath.Base(path)).Parse(string(text)); err != nil {
			return "", err
		}
	}
	var all strings.Builder
	for _, path := range paths {
		name := filepath.Base(path)
		if !strings.HasSuffix(name, ".yaml") {
			continue
		}
		var out bytes.Buffer
		if err := root.ExecuteTemplate(&out, name, context); err != nil {
			return "", err
		}
		// `missingkey=zero` writes this for what nobody defined; Helm's engine takes it away.
		text := strings.ReplaceAll(out.String(), "<no value>", "")
		text = strings.TrimPrefix(strings.TrimSpace(text), "---\n")
		if text != "" {
			fmt.Fprintf(&all, "---\n# Source: %s/templates/%s\n%s\n", filepath.Base(chart), name, text)
		}
	}
	return all.String(), nil
}
