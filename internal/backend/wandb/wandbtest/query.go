package wandbtest

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/runtag/runtag/internal/backend/wandb/wandbtest/graphql"
)

type queryRoot struct{ *session }

// Field answers the top-level fields of queries. Without an accepted key all that is somebody's is null.
func (q queryRoot) Field(name string, args graphql.Args) (any, error) {
	switch name {
	case "serverInfo":
		return serverInfo(), nil
	case "viewer":
		if !q.caller.authorized || q.faults.nullViewer {
			return nil, nil
		}
		return q.viewer(), nil
	}
	if !q.caller.authorized || q.faults.nullProject {
		return nil, nil
	}
	switch name {
	case "project", "model":
		entity := cmp.Or(args.String("entityName"), q.server.entity)
		if p := q.store.project(entity, args.String("name")); p != nil {
			return projectNode{q.session, p}, nil
		}
		return nil, nil
	case "models", "projects":
		return q.projects(args)
	case "entity":
		return entityNode(args.String("name")), nil
	}
	return nil, fmt.Errorf("no resolver for Query.%s", name)
}

func serverInfo() graphql.Object {
	const version = "0.77.0" // the SDK turns away servers before 0.70.0
	return graphql.Values{
		"cliVersionInfo": map[string]any{"max_cli_version": "0.31.0", "min_cli_version": "0.10.0"},
		"latestLocalVersionInfo": graphql.Values{
			"outOfDate": false, "latestVersionString": version, "versionOnThisInstanceString": version,
		},
		"features": []graphql.Object{},
	}
}

func (q *session) viewer() graphql.Object { return userNode(q.caller.user, q.server.entity) }

func userNode(user, entity string) graphql.Object {
	teams := graphql.Values{"edges": []graphql.Object{graphql.Values{"node": entityNode(entity)}}}
	return graphql.Values{
		"id": globalID("User", user), "name": user, "username": user, "email": user + "@example.invalid",
		"entity": entity, "admin": false, "flags": "{}", "accountType": "USER",
		"apiKeys": graphql.Values{"edges": []graphql.Object{}}, "teams": teams,
	}
}

func entityNode(name string) graphql.Object {
	return graphql.Values{"id": globalID("Entity", name), "name": name}
}

func globalID(kind, name string) string {
	return base64.StdEncoding.EncodeToString([]byte(kind + ":" + name))
}

func (q queryRoot) projects(args graphql.Args) (any, error) {
	entity := cmp.Or(args.String("entityName"), q.server.entity)
	var all []*project
	for _, key := range slices.Sorted(maps.Keys(q.store.projects)) {
		if p := q.store.projects[key]; p.Entity == entity {
			all = append(all, p)
		}
	}
	page, info, err := offsetPage(all, args)
	if err != nil {
		return nil, err
	}
	edges := []graphql.Object{}
	for i, p := range page {
		edges = append(edges, graphql.Values{"node": projectNode{q.session, p}, "cursor": info.cursor(i)})
	}
	return graphql.Values{"edges": edges, "pageInfo": info.node(), "totalCount": len(all)}, nil
}

type projectNode struct {
	*session
	*project
}

// Field answers a project's fields.
func (p projectNode) Field(name string, args graphql.Args) (any, error) {
	switch name {
	case "run", "bucket":
		if r := p.store.run(p.Entity, p.Name, args.String("name")); r != nil {
			return runNode{p.session, r}, nil
		}
		return nil, nil
	case "runs":
		return p.runs(args)
	case "runCount", "runActiveCount":
		matching, err := p.matching(args.String("filters"), nil)
		if name == "runActiveCount" {
			matching = slices.DeleteFunc(matching, func(r *record) bool { return !r.alive() })
		}
		return len(matching), err
	case "tags", "tagCounts":
		return p.tags(name, args)
	}
	return p.values()[name], nil
}

func (p projectNode) values() graphql.Values {
	return graphql.Values{
		"id": globalID("Project:v1", p.Name+":"+p.Entity), "internalId": strconv.FormatInt(p.Internal, 10),
		"name": p.Name, "entityName": p.Entity, "entity": entityNode(p.Entity), "createdAt": timestamp(p.CreatedAt),
		"readOnly": false, "isBenchmark": false, "access": "PRIVATE", "views": "{}", "description": "",
		"user": userNode(p.server.user, p.server.entity),
	}
}

func (p projectNode) tags(name string, args graphql.Args) (any, error) {
	matching, err := p.matching(args.String("filters"), nil)
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for _, r := range matching {
		for _, tag := range r.Tags {
			counts[tag]++
		}
	}
	out := []graphql.Object{}
	for _, tag := range slices.Sorted(maps.Keys(counts)) {
		if name == "tags" {
			out = append(out, graphql.Values{"name": tag, "colorIndex": 0})
		} else {
			out = append(out, graphql.Values{"name": tag, "count": counts[tag]})
		}
	}
	return out, nil
}
