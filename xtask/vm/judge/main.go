// Judges requests by admission policies, with Kubernetes' own plugin for them.
//
// usage: judge OBJECTS.yaml < REQUESTS. The file has the policies and their bindings, other objects are passed over. Each line
// of standard input is a request: {"namespace": {...}, "object": {...}, "old": {...} or null}, about a pod unless it has a
// "resource" (and a "subresource"), of some tenant unless it has a "user". Each line of standard output is its answer: null, or
// the text with which the API server would refuse it.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/go-logr/logr"
	admissionregistration "k8s.io/api/admissionregistration/v1"
	core "k8s.io/api/core/v1"
	events "k8s.io/api/events/v1"
	accessor "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/meta/testrestmapper"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	dynamic "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"
)

type request struct {
	Namespace   core.Namespace  `json:"namespace"`
	Resource    string          `json:"resource"`
	Subresource string          `json:"subresource"`
	Object      json.RawMessage `json:"object"`
	Old         json.RawMessage `json:"old"`
	User        struct {
		Name  string              `json:"username"`
		Extra map[string][]string `json:"extra"`
	} `json:"user"`
}

// What a request may be about.
var kinds = map[string]struct {
	kind       schema.GroupVersionKind
	namespaced bool
	object     func() runtime.Object
}{
	"pods":   {core.SchemeGroupVersion.WithKind("Pod"), true, func() runtime.Object { return &core.Pod{} }},
	"nodes":  {core.SchemeGroupVersion.WithKind("Node"), false, func() runtime.Object { return &core.Node{} }},
	"events": {events.SchemeGroupVersion.WithKind("Event"), true, func() runtime.Object { return &events.Event{} }},
}

func policies(path string) ([]runtime.Object, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var found []runtime.Object
	reader := yaml.NewYAMLReader(bufio.NewReader(file))
	for {
		text, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		var kind struct {
			Kind string `json:"kind"`
		}
		if err := yaml.Unmarshal(text, &kind); err != nil {
			return nil, err
		}
		var object runtime.Object
		switch kind.Kind {
		case "ValidatingAdmissionPolicy":
			object = &admissionregistration.ValidatingAdmissionPolicy{}
		case "ValidatingAdmissionPolicyBinding":
			object = &admissionregistration.ValidatingAdmissionPolicyBinding{}
		default:
			continue
		}
		if err := yaml.UnmarshalStrict(text, object); err != nil {
			return nil, err
		}
		switch object := object.(type) {
		case *admissionregistration.ValidatingAdmissionPolicy:
			defaults(object.Spec.MatchConstraints)
		case *admissionregistration.ValidatingAdmissionPolicyBinding:
			defaults(object.Spec.MatchResources)
		}
		found = append(found, object)
	}
}

// What the API server fills in when it takes an object (admissionregistration.k8s.io/v1, MatchResources).
func defaults(match *admissionregistration.MatchResources) {
	if match == nil {
		return
	}
	if match.NamespaceSelector == nil {
		match.NamespaceSelector = &meta.LabelSelector{}
	}
	if match.ObjectSelector == nil {
		match.ObjectSelector = &meta.LabelSelector{}
	}
	if match.MatchPolicy == nil {
		equivalent := admissionregistration.Equivalent
		match.MatchPolicy = &equivalent
	}
	for n := range match.ResourceRules {
		if match.ResourceRules[n].Scope == nil {
			all := admissionregistration.AllScopes
			match.ResourceRules[n].Scope = &all
		}
	}
}

// A plugin of its own for each request: of informers, only the first list is certain to be seen.
func judge(ctx context.Context, objects []runtime.Object, r request) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all := []runtime.Object{&r.Namespace}
	for _, object := range objects {
		all = append(all, object.DeepCopyObject())
	}
	client := fake.NewClientset(all...)
	factory := informers.NewSharedInformerFactory(client, 0)
	plugin, err := validating.NewPlugin(nil)
	if err != nil {
		return err
	}
	plugin.SetExternalKubeClientSet(client)
	plugin.SetExternalKubeInformerFactory(factory)
	plugin.SetDynamicClient(dynamic.NewSimpleDynamicClient(scheme.Scheme))
	plugin.SetRESTMapper(testrestmapper.TestOnlyStaticRESTMapper(scheme.Scheme))
	plugin.SetAuthorizer(authorizerfactory.NewAlwaysAllowAuthorizer())
	plugin.SetDrainedNotification(ctx.Done())
	if err := plugin.ValidateInitialization(); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	if r.Resource == "" {
		r.Resource = "pods"
	}
	about, known := kinds[r.Resource]
	if !known {
		return fmt.Errorf("unknown resource %s", r.Resource)
	}
	object, old, operation := about.object(), runtime.Object(nil), admission.Create
	if err := json.Unmarshal(r.Object, object); err != nil {
		return err
	}
	if len(r.Old) != 0 && string(r.Old) != "null" {
		operation, old = admission.Update, about.object()
		if err := json.Unmarshal(r.Old, old); err != nil {
			return err
		}
	}
	named, err := accessor.Accessor(object)
	if err != nil {
		return err
	}
	namespace := ""
	if about.namespaced {
		namespace = r.Namespace.Name
	}
	if r.User.Name == "" {
		r.User.Name = "tenant"
	}
	var options runtime.Object
	attributes := admission.NewAttributesRecord(object, old, about.kind, namespace, named.GetName(),
		about.kind.GroupVersion().WithResource(r.Resource), r.Subresource, operation, options, false,
		&user.DefaultInfo{Name: r.User.Name, Extra: r.User.Extra})
	return plugin.Validate(ctx, attributes, admission.NewObjectInterfacesFromScheme(scheme.Scheme))
}

func run() error {
	if len(os.Args) != 2 {
		return errors.New("usage: judge OBJECTS.yaml < REQUESTS")
	}
	objects, err := policies(os.Args[1])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	lines := json.NewDecoder(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	for {
		var r request
		if err := lines.Decode(&r); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var answer *string
		if err := judge(ctx, objects, r); err != nil {
			text := err.Error()
			answer = &text
		}
		if err := answers.Encode(answer); err != nil {
			return err
		}
	}
}

func main() {
	klog.SetLogger(logr.Discard())
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "judge:", err)
		os.Exit(1)
	}
}
