# Those of the module, by the same names; ../../variables.tf says more of each.

variable "application_name" {
  description = "The application whose executions these are."
  type        = string
}

variable "env" {
  description = "The environment."
  type        = string
  default     = "dev"
}

variable "event_rule_name" {
  description = "Name of the EventBridge rule; everything else is named after it. Letters, digits, hyphens and underscores, since it names the cluster too."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,57}$", var.event_rule_name))
    error_message = "The event_rule_name must have 1 to 57 letters, digits, hyphens or underscores: it names an ECS cluster and a task family too."
  }
}

variable "external_group_email" {
  description = "CustomerAssist's group address."
  type        = string
}

variable "internal_group_email" {
  description = "The developers' group address."
  type        = string
}

variable "notification_api" {
  description = "URL of the notification API."
  type        = string
}

variable "step_function_arns" {
  description = "The state machines to watch; all of this account and region if empty."
  type        = list(string)
  default     = []
}

variable "child_state_machine_arns" {
  description = "State machines that the watched ones start and wait for."
  type        = list(string)
  default     = []
}

variable "map_run_children" {
  description = "What the worker does with the children of a Distributed Map's Map run: fold or notify."
  type        = string
  default     = "fold"
}

variable "state_machine_key_arns" {
  description = "Customer managed keys that state machines are encrypted with."
  type        = list(string)
  default     = []
}

variable "visibility_timeout_seconds" {
  description = "How long a message stays hidden from other workers once one has it."
  type        = number
  default     = 120
}

variable "max_receive_count" {
  description = "How often a message may be received before it goes to the dead-letter queue."
  type        = number
  default     = 5
}

variable "message_retention_seconds" {
  description = "How long a message may wait in the queue."
  type        = number
  default     = 345600
}

variable "kms_key_arn" {
  description = "A customer managed key for the queues; SQS's own encryption if null."
  type        = string
  default     = null
}

variable "alarm_topic_arn" {
  description = "The SNS topic that alarms go to; they are only shown in CloudWatch if null."
  type        = string
  default     = null
}

variable "oldest_message_alarm_seconds" {
  description = "How old the oldest message may get before the alarm goes off."
  type        = number
  default     = 900
}

variable "log_group_arns" {
  description = "Log groups whose last lines routes with logs = true show, as ARNs that end in :*."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "notification_topic_arns" {
  description = "SNS topics that the worker may publish to."
  type        = list(string)
  default     = []
}

variable "notification_key_arns" {
  description = "Customer managed keys that those topics are encrypted with."
  type        = list(string)
  default     = []
}

variable "notification_identity_arns" {
  description = "SES identities that the worker may send mail as."
  type        = list(string)
  default     = []
}

variable "incident_table" {
  description = "Name of a DynamoDB table to make for incidents; no incidents are kept if null."
  type        = string
  default     = null
}

variable "iam_path" {
  description = "Path of the roles and policies, for accounts that ask for one."
  type        = string
  default     = "/"
}

variable "tags" {
  description = "More tags of every resource."
  type        = map(string)
  default     = {}
}

# Those of the worker.

variable "image" {
  description = "The image, by its digest: REPOSITORY@sha256:… does not change under a running service."
  type        = string

  validation {
    condition     = !can(regex(":latest$", var.image))
    error_message = "The image must not be `latest`: name a version, or better a digest, to know what runs and to go back."
  }
}

variable "cpu_architecture" {
  description = "What the image was built for: X86_64, or ARM64, which is cheaper."
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.cpu_architecture)
    error_message = "The cpu_architecture must be X86_64 or ARM64, as the image's is: docker build --platform."
  }
}

variable "permissions_boundary_arn" {
  description = "The permissions boundary of the roles, for accounts that ask for one."
  type        = string
  default     = null
}

variable "vpc_id" {
  description = "The VPC of the subnets."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets from which SQS, Step Functions, the image's registry, CloudWatch Logs and the notification routes can be reached: through a NAT gateway, or through VPC endpoints for the part that is AWS."
  type        = list(string)
}

variable "assign_public_ip" {
  description = "Only for public subnets without a NAT gateway."
  type        = bool
  default     = false
}

variable "egress_ports" {
  description = "TCP ports that the worker may call: 443, and others that notification routes are on."
  type        = list(number)
  default     = [443]
}

variable "secrets" {
  description = "Environment variables that hold secrets, such as a Slack webhook's URL, each with the ARN of the Secrets Manager secret or SSM parameter that ECS takes it from."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for arn in values(var.secrets) : can(regex("^arn:[^:]+:(secretsmanager:[^:]+:[0-9]{12}:secret:|ssm:[^:]+:[0-9]{12}:parameter/)", arn))])
    error_message = "Each of secrets must be the ARN of a Secrets Manager secret or of an SSM parameter."
  }
}

variable "secret_key_arns" {
  description = "Customer managed KMS keys that the secrets are encrypted with."
  type        = list(string)
  default     = []
}

variable "log_retention_days" {
  description = "How long the log is kept."
  type        = number
  default     = 30
}

variable "min_tasks" {
  description = "The least number of tasks. One is enough for the throughput; two outlive an availability zone without a pause (and max_tasks = 2, so that they share the rate)."
  type        = number
  default     = 1

  validation {
    condition     = var.min_tasks >= 1
    error_message = "The min_tasks must be 1 or more: without a task nobody is told."
  }
}

variable "max_tasks" {
  description = "The greatest number of tasks, no less than min_tasks. They share history_rate, so that more tasks make nothing faster but a slow notification API."
  type        = number
  default     = 1

  validation {
    condition     = var.max_tasks >= 1
    error_message = "The max_tasks must be 1 or more."
  }
}

variable "history_rate" {
  description = "GetExecutionHistory calls a second for all tasks together. AWS refills 20 a second for the account and region, and raises that on request."
  type        = number
  default     = 10

  validation {
    condition     = var.history_rate > 0
    error_message = "The history_rate must be over 0."
  }
}

# Not refused: the quota may have been raised.
check "history_rate" {
  assert {
    condition     = var.history_rate <= 20
    error_message = "The history_rate is over 20, which is what AWS refills unless it raised your quota of GetExecutionHistory."
  }
}

variable "backlog_per_task" {
  description = "Messages waiting for each task, above which another one is started: docs/scaling.md works it out."
  type        = number
  default     = 1500
}
