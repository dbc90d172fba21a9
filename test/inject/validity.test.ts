import { CronJob } from "kubernetes-models/batch/v1/CronJob";
import { describe, expect, test } from "vitest";
import { cases, inject, modes, readCase } from "./golden-cases.ts";
void CronJob; void inject; void modes; void readCase; void cases; void describe; void expect; void test;
