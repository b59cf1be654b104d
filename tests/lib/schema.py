"""A validator for the part of JSON Schema (draft 2020-12) that our schemas use; an unknown keyword is an error.

Runs in: the test process.
"""
import json
import re

KNOWN = {"$schema", "$id", "$defs", "$ref", "$comment", "title", "description", "type", "enum", "const", "required", "properties",
         "additionalProperties", "items", "minimum", "maximum", "pattern", "oneOf", "minLength", "propertyNames"}
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def is_type(value, name):
    if name in ("integer", "number"):
        return isinstance(value, int if name == "integer" else (int, float)) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def same(a, b):
    return a == b and isinstance(a, bool) == isinstance(b, bool)


class Schema:
    def __init__(self, path):
        with open(path) as f:
            self.top = json.load(f)
        self.check_words(self.top)

    def check_words(self, schema):
        """Each keyword must be one that is looked at below: else the schema promises what nobody checks."""
        if isinstance(schema, bool):
            return
        unknown = set(schema) - KNOWN
        if unknown:
            raise ValueError("unknown keywords %s" % sorted(unknown))
        inner = [schema[k] for k in ("items", "additionalProperties", "propertyNames") if k in schema] + list(schema.get("oneOf", []))
        for k in ("properties", "$defs"):
            inner += list(schema.get(k, {}).values())
        for one in inner:
            self.check_words(one)

    def errors(self, value, schema=None, at=""):
        """What is wrong with the value, one text each; [] = valid."""
        schema = self.top if schema is None else schema
        if isinstance(schema, bool):
            return [] if schema else ["%s: not allowed" % (at or "/")]
        found = []
        if "$ref" in schema:
            name = schema["$ref"]
            if not name.startswith("#/$defs/"):
                raise ValueError("$ref %s" % name)
            found += self.errors(value, self.top["$defs"][name[8:]], at)
        for word in ("scalar", "object", "array", "choice"):
            found += getattr(self, "check_" + word)(value, schema, at)
        return found

    def check_scalar(self, value, schema, at):
        found = []
        names = schema.get("type")
        if names is not None and not any(is_type(value, n) for n in ([names] if isinstance(names, str) else names)):
            found.append("%s: %r is no %s" % (at or "/", value, names))
        if "enum" in schema and not any(same(value, v) for v in schema["enum"]):
            found.append("%s: %r is none of %s" % (at, value, schema["enum"]))
        if "const" in schema and not same(value, schema["const"]):
            found.append("%s: %r isn't %r" % (at, value, schema["const"]))
        if is_type(value, "number"):
            if value < schema.get("minimum", value) or value > schema.get("maximum", value):
                found.append("%s: %r is out of range" % (at, value))
        if isinstance(value, str):
            if len(value) < schema.get("minLength", 0) or not re.search(schema.get("pattern", ""), value):
                found.append("%s: %r doesn't match" % (at, value))
        return found

    def check_object(self, value, schema, at):
        if not isinstance(value, dict):
            return []
        found = ["%s: %s is missing" % (at or "/", n) for n in schema.get("required", []) if n not in value]
        known = schema.get("properties", {})
        for name, inner in value.items():
            if "propertyNames" in schema:
                found += self.errors(name, schema["propertyNames"], "%s/%s" % (at, name))
            found += self.errors(inner, known.get(name, schema.get("additionalProperties", True)), "%s/%s" % (at, name))
        return found

    def check_array(self, value, schema, at):
        if not isinstance(value, list) or "items" not in schema:
            return []
        return [e for i, v in enumerate(value) for e in self.errors(v, schema["items"], "%s/%d" % (at, i))]

    def check_choice(self, value, schema, at):
        if "oneOf" not in schema:
            return []
        tries = [self.errors(value, s, at) for s in schema["oneOf"]]
        fits = sum(not t for t in tries)
        if fits == 1:
            return []
        return ["%s: fits %d of %d forms: %s" % (at or "/", fits, len(tries), [t[0] for t in tries if t])]
