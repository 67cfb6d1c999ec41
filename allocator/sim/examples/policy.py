#!/usr/bin/env python3
"""A policy for `tepui sim run --policy exec:allocator/sim/examples/policy.py`: the widest job that fits first.

Counts cpus only, and leaves the choice of nodes to --placement. The protocol is described in docs/simulator.md.
"""
import json
import sys

free, waiting, running = 0.0, {}, {}
for line in sys.stdin:
    message = json.loads(line)
    if "hello" in message:
        free = sum(node["cpus"] for node in message["nodes"])
        answer = {"hello": 1}
    else:
        for event in message["events"]:
            if "submitted" in event:
                job = event["submitted"]
                waiting[job["job"]] = job["cpus"] * job["tasks"]
            elif "ended" in event:
                free += running.pop(event["ended"])
            elif "no_room" in event:
                cpus = running.pop(event["no_room"])
                free, waiting[event["no_room"]] = free + cpus, cpus
        start = []
        for job, cpus in sorted(waiting.items(), key=lambda item: (-item[1], item[0])):
            if cpus <= free:
                free, running[job] = free - cpus, waiting.pop(job)
                start.append(job)
        answer = {"start": start}
    print(json.dumps(answer), flush=True)
